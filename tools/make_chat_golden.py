#!/usr/bin/env python3
"""Writes tests/golden/chat_templates.json: conversations as transformers and lm-eval render them.

The conversations are random, seeded. The templates are those below, and, where their files are given,
those of released models (of which the golden file keeps only the sum). The clock of transformers stands at
DATE. The path is lm-eval's own (HFLM.apply_chat_template over a transformers tokenizer), which drops system
messages that a template refuses.

Needs: pip install lm-eval transformers gguf
Usage: make_chat_golden.py [--folder NAME=FOLDER_WITH_TOKENIZER_CONFIG]... [--gguf NAME=FILE]...
"""
import argparse
import datetime
import hashlib
import json
import pathlib
import random
import types

import jinja2
import lm_eval
import tokenizers
import transformers
from lm_eval.models.huggingface import HFLM
from transformers.utils import chat_template_utils

DATE = "2024-07-26"
NUM_CONVERSATIONS = 24
OWN_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

OWN = {
    "marked_turns": """\
{% for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}
    {{- '<|im_start|>' ~ message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "dated_headers": """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") if strftime_now is defined else "unknown" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_text = messages[0]['content']|trim %}{%- set turns = messages[1:] %}
{%- else %}
    {%- set system_text = "" %}{%- set turns = messages %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- system_text + "<|eot_id|>" }}
{%- for message in turns %}
    {%- if message.role not in ['user', 'assistant'] %}{{- raise_exception("no role " + message.role) }}{%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
""",
    "no_system": """\
{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('user and assistant must take turns') }}
{% endif %}
{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}{% else %}{{ message.content + eos_token }}{% endif %}
{% endfor %}""",
    "everything": """\
{%- macro show(message, depth=0) %}
    {%- if message is mapping and message.content is string %}{{ message | tojson(indent=depth or none, sort_keys=true) }}
    {%- endif %}
{%- endmacro %}
{%- set seen = namespace(users=0, last=none) %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' %}{%- set seen.last = message.content %}{%- break %}{%- endif %}
    {%- continue %}
{%- endfor %}
{%- for message in messages if message.role != 'tool' %}
  {% if message.role == "user" %}
    {% set seen.users = seen.users + 1 %}
  {% endif %}
  {{ loop.cycle('odd', 'even') }}{{ show(message) }} {# a comment #}
  {% generation %}{{ message.content.strip().split('\\n')[-1] | default('none') | replace('a', 'A') }}{% endgeneration %}
{%+ endfor %}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }}/{{ seen.users }}
{{ seen.last | tojson }} {{ dict(a=1, b=[true, none, 1.5, "<é&'>"]) | tojson }} {{ show(messages[-1], 2) }}
{{ messages | map(attribute='role') | unique | sort | join(', ') | upper }} {{ undefined_name }}{{ eos_token is defined }}
{{ '%s|%5.1f' | format('x', 2.25) }} {{ 'a{}b'.format(7) }} {{ (7 / 2) | round | int }} {{ 7 // 2 }} {{ 2 ** 10 }}
{{ strftime_now('%Y-%m-%d %A') }}{% if add_generation_prompt %} go{% endif %}""",
}
PIECES = [
    "What is 2 + 2?", "The answer", " is", " ", "  ", "\n", "\n\n", "\t", "<|im_end|>", "<|im_start|>system\n", "</s>",
    "[INST]", "<b>&amp;\"'</b>", "naïve", "e\u0301", "你好", "\U0001f600", "\u2028", "\u00a0", "{{ x }}", "{% raw %}",
    "{# no #}", "\\n", "\\", "A", "B. 4", "<think>", "</think>", "CONTINUE", "0", "'",
]


def make_conversations():
    rng = random.Random(20260201)

    def text():
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 8)))

    conversations = []
    for index in range(NUM_CONVERSATIONS):
        goes_on = index % 3 == 2
        messages = [{"role": "system", "content": text()}] if rng.random() < 0.5 else []
        for _ in range(rng.randint(0, 2)):
            messages += [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]
        messages.append({"role": "user", "content": text()})
        if goes_on:
            messages.append({"role": "assistant", "content": "Answer" + text()})
        conversations.append({"messages": messages, "add_generation_prompt": not goes_on})
    return conversations


def render(template, tokens, conversation):
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.BPE()), **tokens)
    made.chat_template = template
    model = types.SimpleNamespace(tokenizer=made, chat_template_args={})
    try:
        return HFLM.apply_chat_template(model, conversation["messages"],
                                        add_generation_prompt=conversation["add_generation_prompt"])
    except (jinja2.exceptions.TemplateError, ValueError):
        return None


def stop_clock():
    class Stopped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(DATE)

    chat_template_utils.datetime = Stopped


def from_folder(folder):
    config = json.loads((pathlib.Path(folder) / "tokenizer_config.json").read_text("utf-8"))
    tokens = {name: config[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token") if config.get(name)}
    return config["chat_template"], tokens


def from_gguf(path):
    import gguf
    fields = gguf.GGUFReader(path).fields
    names = fields["tokenizer.ggml.tokens"]
    tokens = {}
    for role in ("bos", "eos", "unknown", "padding"):
        field = fields.get(f"tokenizer.ggml.{role}_token_id")
        if field is not None:
            tokens[role[:3] + "_token"] = names.contents(field.contents())
    return fields["tokenizer.chat_template"].contents(), tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--gguf", action="append", default=[])
    arguments = parser.parse_args()
    stop_clock()
    conversations = make_conversations()
    golden = {"made_with": f"transformers {transformers.__version__}, lm-eval {lm_eval.__version__}, "
                           f"jinja2 {jinja2.__version__}",
              "date": DATE, "conversations": conversations, "templates": {}}
    sources = {name: (text, OWN_TOKENS) for name, text in OWN.items()}
    for given, read in ((arguments.folder, from_folder), (arguments.gguf, from_gguf)):
        sources.update({name: read(path) for name, path in (entry.split("=", 1) for entry in given)})
    for name, (text, tokens) in sources.items():
        entry = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "special_tokens": tokens}
        if name in OWN:
            entry["source"] = text
        entry["texts"] = [render(text, tokens, conversation) for conversation in conversations]
        golden["templates"][name] = entry
    path = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat_templates.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n", "ascii")
    print(f"{path}: {[(name, sum(t is not None for t in e['texts'])) for name, e in golden['templates'].items()]}")


if __name__ == "__main__":
    main()
