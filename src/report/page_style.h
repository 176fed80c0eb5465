// The style sheet of the report page: light and dark, print.
#pragma once

namespace dovetail::report {

inline constexpr const char* kPageStyle = R"(
:root{--ink:#1c2430;--soft:#5c6776;--paper:#fff;--line:#dde3ea;--a:#2563a8;--b:#c2571a;--c:#2f855a;--d:#8b3fa0;--e:#b7791f;--f:#3b7a8c}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b3;--paper:#12161c;--line:#2b333d;--a:#6aa5e8;--b:#ee9157;--c:#68c193;--d:#c58bd6;--e:#e0b052;--f:#7cbccd}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 8px}
p{max-width:80ch}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;width:100%}
td{overflow-wrap:anywhere;min-width:7ch}
th,td{text-align:left;padding:5px 9px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}
svg{width:100%;max-width:760px;height:auto;display:block}
.grid{stroke:var(--line)}.tick,.note,.name{font-size:11px;fill:var(--soft)}.name{fill:var(--ink)}
.label{font-size:12px;fill:var(--soft)}.diagonal{stroke:var(--soft);stroke-dasharray:4 4}
.dot{stroke:none;fill-opacity:.85}.line{fill:none;stroke-width:1.6}
.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}.dot.d{fill:var(--d)}.dot.e{fill:var(--e)}.dot.f{fill:var(--f)}
.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.line.d{stroke:var(--d)}.line.e{stroke:var(--e)}.line.f{stroke:var(--f)}
.key{display:inline-block;width:10px;height:10px;border-radius:5px;margin:0 4px 0 10px}
.key.a{background:var(--a)}.key.b{background:var(--b)}.key.c{background:var(--c)}.key.d{background:var(--d)}.key.e{background:var(--e)}.key.f{background:var(--f)}
.bar{fill:var(--a);fill-opacity:.55}.band{stroke:var(--ink);stroke-width:1.6}.one{stroke:var(--ink)}
figure{margin:0 0 16px}figcaption{font-weight:600}details{margin:6px 0}summary{cursor:pointer}
.map td{min-width:0;font-size:11px;color:#14181d;white-space:nowrap}
.bits2{background:#f4a582}.bits3{background:#fbc9a8}.bits4{background:#fde5c8}.bits5{background:#eaf1e4}.bits6{background:#d3e8e4}.bits8{background:#aed4e6}.bits16{background:#86b4dc}
@media print{details{display:block}main{max-width:none}}
)";

}  // namespace dovetail::report
