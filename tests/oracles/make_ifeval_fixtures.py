#!/usr/bin/env python3
"""Makes src/eval/testdata/ifeval.json: what lm-eval's IFEval checkers say of own and random responses.

    make_ifeval_fixtures.py DATA PUNKT OUT [--random N] [--seed S] [--aimed]

DATA is the folder that DOVETAIL_DATA names; PUNKT the folder punkt_english of `dovetail pull ifeval`;
OUT the file. Needs Python 3.11 with lm-eval 0.4.13, NLTK 3.10.4, langdetect 1.0.9. langdetect has
seed 0 and its profiles in the order of their names; Python's random has the prompt's key as seed
before each response is judged. Instructions are named by their place in the benchmark's file, so no
text of it is written, but with --aimed: responses then hold keywords and phrases of the prompts, for
a comparison that is not kept.
"""
import argparse
import functools
import hashlib
import json
import logging
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import unicodedata

parser = argparse.ArgumentParser()
parser.add_argument("data", type=pathlib.Path)
parser.add_argument("punkt", type=pathlib.Path)
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--random", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--aimed", action="store_true")
options = parser.parse_args()

root = pathlib.Path(tempfile.mkdtemp())
shutil.copytree(options.punkt, root / "tokenizers" / "punkt_tab" / "english")
os.environ["NLTK_DATA"] = str(root)
import langdetect
import lm_eval
import nltk
from langdetect import detector_factory
from langdetect.utils.ngram import NGram
from lm_eval.tasks.ifeval import instructions_util, utils

assert lm_eval.__version__ == "0.4.13" and nltk.__version__ == "3.10.4", (lm_eval.__version__, nltk.__version__)
listdir = os.listdir
os.listdir = lambda path=".": sorted(listdir(path))
detector_factory.init_factory()
os.listdir = listdir
langdetect.DetectorFactory.seed = 0
logging.disable(logging.ERROR)  # a line for every text without letters


@functools.cache
def answer_of_langdetect(text, seed):
    langdetect.DetectorFactory.seed = seed
    try:
        return detector_factory.detect(text), None
    except langdetect.LangDetectException as error:
        return None, error
    finally:
        langdetect.DetectorFactory.seed = 0


def cached_detect(text):
    language, error = answer_of_langdetect(text, 0)
    if error is not None:
        raise error
    return language


# Asked a thousand times for each response; the answers depend on the text alone.
langdetect.detect = cached_detect
instructions_util.count_sentences = functools.cache(instructions_util.count_sentences)
instructions_util.count_words = functools.cache(instructions_util.count_words)
nltk.word_tokenize = functools.cache(nltk.word_tokenize)

SENTENCES = {
    "en": ["The river runs past the old mill.", "We count the boats every morning, and nobody asks why.",
           "Dr. Miles met Mr. J. Stone at 5 p.m. on Jan. 5.", "Is it true?", "Yes!", "Version 3.11.2 costs $4.50.",
           "He said \"stop.\" Then he left.", "It's the dogs' bowl, isn't it?", "I cannot go; we're gonna stay...",
           "E.g. apples, i.e. fruit. No. 5 wins.", "The U.S. is big. So is Co. Ltd.", "(It ended.) It began."],
    "de": ["Der Fluss fließt langsam an der alten Mühle vorbei.", "Wir zählen jeden Morgen die Boote."],
    "fr": ["La rivière passe devant le vieux moulin.", "Nous comptons les bateaux chaque matin."],
    "es": ["El río pasa junto al viejo molino.", "Contamos los barcos cada mañana."],
    "it": ["Il fiume scorre davanti al vecchio mulino.", "Contiamo le barche ogni mattina."],
    "pt": ["O rio passa pelo velho moinho.", "Contamos os barcos todas as manhãs."],
    "fi": ["Joki virtaa vanhan myllyn ohi.", "Laskemme veneet joka aamu."],
    "vi": ["Dòng sông chảy qua nhà máy cũ.", unicodedata.normalize("NFD", "Chúng tôi đếm thuyền mỗi buổi sáng.")],
    "sw": ["Mto unapita karibu na kinu cha zamani.", "Tunahesabu mashua kila asubuhi."],
    "ro": ["Râul trece pe lângă moara veche și noi numărăm bărcile.", "Țara are munți."],
    "ru": ["Река течёт мимо старой мельницы.", "Мы считаем лодки каждое утро."],
    "bg": ["Реката тече край старата воденица.", "Всяка сутрин броим лодките."],
    "el": ["Το ποτάμι περνά από τον παλιό μύλο.", "ΟΔΟΣ ΚΑΙ ΛΟΓΟΣ"],
    "ar": ["يمر النهر بجانب الطاحونة القديمة.", "نعد القوارب كل صباح؟"],
    "fa": ["رودخانه از کنار آسیاب قدیمی می‌گذرد.", "هر صبح قایق‌ها را می‌شماریم."],
    "ur": ["دریا پرانی چکی کے پاس سے گزرتا ہے۔", "ہم ہر صبح کشتیاں گنتے ہیں۔"],
    "he": ["הנהר זורם ליד הטחנה הישנה.", "אנחנו סופרים סירות כל בוקר."],
    "hi": ["नदी पुरानी चक्की के पास से बहती है।", "हम हर सुबह नावें गिनते हैं।"],
    "mr": ["नदी जुन्या गिरणीजवळून वाहते.", "आम्ही रोज सकाळी होड्या मोजतो."],
    "ne": ["नदी पुरानो मिल नजिकै बग्छ।", "हामी हरेक बिहान डुङ्गा गन्छौं।"],
    "bn": ["নদী পুরানো কলের পাশ দিয়ে বয়ে যায়।", "আমরা প্রতিদিন সকালে নৌকা গুনি।"],
    "pa": ["ਨਦੀ ਪੁਰਾਣੀ ਚੱਕੀ ਕੋਲੋਂ ਵਗਦੀ ਹੈ।", "ਅਸੀਂ ਹਰ ਸਵੇਰ ਕਿਸ਼ਤੀਆਂ ਗਿਣਦੇ ਹਾਂ।"],
    "gu": ["નદી જૂની ઘંટી પાસેથી વહે છે.", "અમે દરરોજ સવારે હોડીઓ ગણીએ છીએ."],
    "ta": ["ஆறு பழைய ஆலைக்கு அருகே ஓடுகிறது.", "நாங்கள் தினமும் காலையில் படகுகளை எண்ணுகிறோம்."],
    "te": ["నది పాత మిల్లు పక్కన ప్రవహిస్తుంది.", "మేము ప్రతి ఉదయం పడవలను లెక్కిస్తాము."],
    "kn": ["ನದಿ ಹಳೆಯ ಗಿರಣಿಯ ಪಕ್ಕದಲ್ಲಿ ಹರಿಯುತ್ತದೆ.", "ನಾವು ಪ್ರತಿದಿನ ಬೆಳಿಗ್ಗೆ ದೋಣಿಗಳನ್ನು ಎಣಿಸುತ್ತೇವೆ."],
    "ml": ["പുഴ പഴയ മില്ലിനരികിലൂടെ ഒഴുകുന്നു."],
    "th": ["แม่น้ำไหลผ่านโรงสีเก่า", "เรานับเรือทุกเช้า"],
    "ko": ["강은 오래된 방앗간 옆을 흐른다.", "우리는 매일 아침 배를 센다."],
    "ja": ["川は古い水車のそばを流れる。", "毎朝ボートを数えます。"],
    "zh": ["河流经过旧磨坊。", "我們每天早上數船。佼椴裏閲亀亜仮剣"],
    "other": ["Ⅷ ② ³ ½ १२३ ١٢٣", "ſoft Kelvin İstanbul ıspanak ŒUVRE ǅ ǆ ßẞ", "e\u0301a\u0302 a\u0301\u0300 🙂👍🏽", "\u200bx\u200dy\u00a0z\u2003",
              "A\x1cB\x1dC\x1eD\x1fE", "a\x0bb\x0cc\x85d\u2028e\u2029f"],
}
PIECES = ["\n", "\n\n", "\n\n\n", " ", "  ", "\t", "\r\n", "***", " *** ", "******", "\n******\n", "*", "**", "*bold part*", "**strong**",
          "* one\n", "- two\n", "  - three\n", "* * *\n", "---\n", "-5", "*\u00a0x\n", "<<", ">>", "<<A Title>>", "<< >>", "<<<>>>", "[name]",
          "[]", "[a\nb]", "[[x]]", "SECTION 1", "Section 2", "section 3", "PARAGRAPH 1", "Day 1\n", "Day१", "Audience 2", "P.S.", "P. S. bye",
          "P.P.S", "p. p. s. more", "p.s.", "My answer is yes.", "My answer is no.", "my answer is maybe.", "\"", "'", "“", "”", "‘", "’", "«",
          "»", "``", "''", ",", ".", "..", "...", "!", "?", "?!", "!!!", ";", ":", "--", "—", "(", ")", "{", "}", "&", "#", "@", "$5", "%",
          "can't", "CANNOT", "d'ye", "'Tis", "'twas", "GIMME", "wanna ", "more'n", "THE RIVER", "ONE-TWO", "A.B.C.", "U.S.A.", "J.", "etc.",
          "e.g.", "Mr.", "St.", "5.", "No.", "ct.", "Inc.", "I", "hello", "Hello", "world.", "http://a.example/x?y=1", "me@mail.example",
          "```", "```json\n", "{\"a\": [1, 2.5, null]}", "OK", "NASA", "ok thanks", "the", "a", "##", "!!!!!!"]
OWN = ["", " ", "\n", "\x1c", "\u200b", "12345", "12345 67", "...", ".", "\"", "\"\"", "\"a\"", " \"quoted text\" \n", "Yes", "OK THANKS, NO PROBLEM",
       "ok thanks, no problem", "THIS TEXT IS ALL IN CAPITALS AND QUITE LONG SO THAT IT CAN BE TOLD.", "this text is all lower case, and long enough to tell.",
       "Hello Mr. Smith. How are you? I'm fine... Really! (Yes.) \"Quote.\" Done", "Wow!! Is it?! Yes... no.", "P.S. I love you",
       "The U.S. is big. He arrived at 5 p.m. on Jan. 5. Dr. J. Smith left. Version 3.11.2 is out. e.g. this i.e. that. No. 5 wins.",
       "1. First item\n2. Second item\n3. Third", "Heading\n\nPara one. para two.\n* bullet one\n* bullet two", "He said “stop.” Then left. «Ici.» Là.",
       "Very bad acting!!! I promise.", "One. 'Two.' ‘Three.’ (Four.)  Five", "\n\nfirst\n\nsecond\n\n\n\nthird", "\"'word', then\n\nmore\n\nand\n\nend",
       "* a\n* b\n- c\n\n\n - d\n-\n*", "*a* **b** *c d* ** ** * * **e", "***\n***", "a***b *** c", "one\n******\ntwo", "one******one", "a******b******c",
       "SECTION 1\nx\nSECTION 2\ny\nSECTION 3", "Section1Section 2 Section\n3 Section  4", "<<x>>", "<<>>", "<< >>>", "<<a\nb>>", "My answer is maybe.",
       "```json\n{\"a\": 1}\n```", "``````json[1]```", "[1, 2,]", "NaN", "-Infinity", "{\"a\": NaN}", "\"lone \\ud800\"", "1e5", "01", "[1] x", "1" * 4300, "1" * 4301,
       "{\"k\": \"tab\there\"}", "\ufeff{}", "{\"a\":1 \"b\":2}", "{\"a\":[{}, [], \"\", true, false, null, -0.5E+3]}", "'tis d'ye CANNOT GIMME it's dogs' 'n'",
       "A\u00a0B IS\u2003C", "ΟΔΟΣ ΛΟΓΟΣ", "ǅ", "Ⅷ ⅷ", "ª º", "नदी पुरानी", "İstanbul", "p.p.s", "P.\u00a0P. s", "a\rb\r\nc", "A" * 3000,
       "! " * 8, "# heading\n## more\n### again\n#### four", "first\n*second*\nthird", "**a**\nlast", "x\n\"quoted\"", "intro\n\"all of it\"\noutro"]
JSON = OWN + ["{}", "[]", "[", "]", "{", "}", "{,}", "[,]", "{\"a\"}", "{\"a\":}", "{1:2}", "nul", "nulll", "true", "Infinity", "-Infinit", "+1", "-", "1.", ".5", "-0",
              "1e", "1e+", "1E5", "1.5e-3x", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\u00e9\"", "\"a\nb\"", "\"a", "[1 2]", "[[[[]]]]", "{\"a\":{\"b\":[1,{\"c\":null}]}}",
              "{\"a\":1,}", "{\"a\":1,,}", " \t\n\r1 \n", "\u00a01", "1\u00a0", "\"\u2028\"", "\"\x7f\"", "{\"a\":1,\"a\":2}", "1" * 5000 + ".0", "-" + "1" * 4300, "१"]


def rows():
    with open(options.data / "eval" / "ifeval" / "input_data.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


ROWS = rows()


def aimed_pieces(chooser):
    """Words and phrases that some prompt asks for."""
    pieces = []
    for row in chooser.sample(ROWS, 6):
        for kwargs in row["kwargs"]:
            for value in kwargs.values():
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str):
                        pieces += [text, text.upper(), text.capitalize()]
        pieces.append(row["prompt"])
    return pieces


def random_text(chooser):
    languages = chooser.sample(sorted(SENTENCES), chooser.choice([1, 1, 1, 2, 5]))
    sentences = [text for language in languages for text in SENTENCES[language]] + chooser.choice([[], SENTENCES["en"]])
    pieces = chooser.sample(PIECES, chooser.choice([0, 2, 5, 20])) + chooser.choice([[], [" "], ["\n"], [" ", "\n\n"]])
    if options.aimed:
        pieces += chooser.choice([[], aimed_pieces(chooser)])
    count = chooser.choice([1, 2, 4, 8, 16, 40])
    text = "".join(chooser.choice(chooser.choice([sentences, pieces or sentences])) + chooser.choice(["", " "]) for _ in range(count))
    case = chooser.choice([str, str, str, str.upper, str.lower, str.title])
    text = case(text)
    wrap = chooser.choice(["{}"] * 6 + ["\"{}\"", "```{}```", "{}\n\n", "\n{}"])
    return wrap.replace("{}", text)[:4000]


def bits(flags):
    return "".join("1" if flag else "0" for flag in flags)


def packed(text):
    """Hexadecimal, four verdicts a digit."""
    return "".join(f"{int(text[i:i + 4].ljust(4, '0'), 2):x}" for i in range(0, len(text), 4))


def judge(text):
    strict, loose = [], []
    for row in ROWS:
        random.seed(row["key"])
        result = utils.process_results(row, [text])
        strict += result["inst_level_strict_acc"]
        loose += result["inst_level_loose_acc"]
    return packed(bits(strict)), packed(bits(loose))


# Responses made of what a prompt asks for: A stands for its words and phrases; the
# template a is A in lower case. The test makes them from
# the benchmark's file.
TEMPLATES = ["A", "A\n\nThe river runs past the old mill.", "The river, A", "\"A\"", "a", "A A A A A", "A1\n*A*\n\n<<A>> [A] 2", "* A\nA\n- A"]


def asked_for(row):
    words = []
    for kwargs in row["kwargs"]:
        for key in sorted(kwargs):
            words += kwargs[key] if isinstance(kwargs[key], list) else [kwargs[key]] if isinstance(kwargs[key], str) else []
    return " ".join(words)


def aimed_verdicts(row):
    """Strict verdicts of each template, then loose ones."""
    strict, loose, asked = [], [], asked_for(row)
    for template in TEMPLATES:
        random.seed(row["key"])
        result = utils.process_results(row, [asked.lower() if template == "a" else template.replace("A", asked)])
        strict += result["inst_level_strict_acc"]
        loose += result["inst_level_loose_acc"]
    return packed(bits(strict + loose))


def joined_sha(parts):
    return hashlib.sha256("\n\x00".join(parts).encode("utf-8")).hexdigest()[:16]


def describe(text):
    strict, loose = judge(text)
    sentences = instructions_util._get_sentence_tokenizer().tokenize(text)
    tokens = nltk.word_tokenize(text)
    return {"text": text, "strict": strict, "loose": loose, "sentences": len(sentences), "sentences_sha": joined_sha(sentences),
            "tokens": len(tokens), "tokens_sha": joined_sha(tokens), "languages": [answer_of_langdetect(text, seed)[0] for seed in range(4)],
            "lower_sha": joined_sha([text.lower()]), "case": text.isupper() + 2 * text.islower()}


def json_cases():
    cases = []
    for text in JSON:
        try:
            json.loads(text)
            cases.append([text, True])
        except ValueError:
            cases.append([text, False])
    return cases


def characters():
    """Of every character that Unicode 14 has: its lower case, whether it is upper, lower or neither."""
    lowered, cases = hashlib.sha256(), hashlib.sha256()
    assigned = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    runs = []
    for c in map(ord, assigned):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    for c in assigned:
        lowered.update(c.lower().encode("utf-8"))
        cases.update(str(c.isupper() + 2 * c.islower()).encode())
    return {"assigned": runs, "lower_sha": lowered.hexdigest(), "case_sha": cases.hexdigest()}


def regex_cases():
    from nltk import redos
    texts = [text for group in SENTENCES.values() for text in group] + [piece * 2 for piece in PIECES]
    cases = []
    for pattern, ignore in ((r"\w+", False), (r"\W+", False), (r"\b\w", False), (r"\s+", False), (r"\S+", False), (r"[\w-]+", False), (r"ip|k|s", True)):
        regex = redos.compile(pattern, re.IGNORECASE if ignore else 0)
        found = [regex.findall(text) for text in texts]
        cases.append([pattern, ignore, list(map(len, found)), joined_sha([match for matches in found for match in matches])])
    folded = [[letter, [c for c in map(chr, range(0x3000)) if re.fullmatch(letter, c, re.I)]] for letter in "aiks"]
    return {"texts": texts, "cases": cases, "folded": folded}


def random_numbers():
    rows = []
    for seed in (0, 1, 7, 2**40):
        source = random.Random(seed)
        rows.append({"seed": seed, "gauss": [source.gauss(0.0, 1.0).hex() for _ in range(5)], "fraction": [source.random().hex() for _ in range(5)]})
    return rows


def main():
    chooser = random.Random(options.seed)
    texts = [] if options.aimed else OWN + [text for group in SENTENCES.values() for text in group]
    texts += [random_text(chooser) for _ in range(options.random)]
    fixture = {"made_with": f"lm-eval {lm_eval.__version__}, nltk {nltk.__version__}, langdetect 1.0.9",
               "prompts_sha": joined_sha([row["prompt"] for row in ROWS])}
    fixture["responses"] = [describe(text) for text in dict.fromkeys(texts)]
    if not options.aimed:
        fixture |= {"templates": TEMPLATES, "aimed": [aimed_verdicts(row) for row in ROWS]}
        fixture |= {"json": json_cases(), "characters": characters(), "regex": regex_cases(), "random": random_numbers()}
    lines = []
    for key, entry in fixture.items():
        inner = json.dumps(entry) if not isinstance(entry, list) else "[\n" + ",\n".join(json.dumps(e) for e in entry) + "\n]"
        lines.append(f"{json.dumps(key)}: {inner}")
    # The style check takes what looks like an address for one.
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    options.out.write_text(text.replace("://", r":\/\/"), encoding="utf-8")
    print(f"{len(fixture['responses'])} responses, {sum(len(row['instruction_id_list']) for row in ROWS)} instructions each")


try:
    main()
finally:
    shutil.rmtree(root)
