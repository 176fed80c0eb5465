"""Renders chat templates with Jinja, for chat_template.cc.

Reads one JSON object a line and answers each with one. The first holds the date and the limits, the
second the template and the special tokens; each later one a conversation. A template comes from a stranger: it
runs in Jinja's sandbox, in a process that can open no file and has a bound on memory and time.

The environment is the one that transformers 5 gives to chat templates (its chat_template_utils.py), so
that a template renders to the same text; only the clock stands still.
"""
import datetime
import json
import resource
import signal
import sys
import types

# Behind an answer that the model is to continue. Ends in a space, so that a template which trims
# contents is told from one that keeps them. The word is transformers' own: a template that writes the
# content twice leaves it in the text.
MARK = "CONTINUE_FINAL_MESSAGE_TAG "


class TooLong(Exception):
    pass


def load_jinja():
    """Jinja with what it would otherwise import while it renders."""
    import jinja2.constants
    import jinja2.debug
    import jinja2.ext
    import jinja2.sandbox
    import pprint  # noqa: F401
    return jinja2


def give_up_rights(memory_bytes):
    """No further file and no more memory than stated; the three files already open stay."""
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0),
                       (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 3)):
        resource.setrlimit(what, (most, most))


def make_environment(jinja2, clock):
    class Generation(jinja2.ext.Extension):
        """{% generation %} marks what the model wrote; it changes no text."""
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            call = self.call_method("_pass_on")
            return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _pass_on(self, caller):
            return caller()

    class Dict:
        """dict without the attributes of a class."""
        def __call__(self, *pairs, **named):
            return dict(*pairs, **named)

        def fromkeys(self, *arguments):
            return dict.fromkeys(*arguments)

    class Namespace(jinja2.utils.Namespace):
        """A namespace that stores no name of the interpreter's own."""
        def __init__(*arguments, **named):
            for name in dict(*arguments[1:], **named):
                check_name(name)
            jinja2.utils.Namespace.__init__(*arguments, **named)

        def __setitem__(self, name, value):
            check_name(name)
            jinja2.utils.Namespace.__setitem__(self, name, value)

    def check_name(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"namespace attribute {name!r} begins with _")

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals.update(raise_exception=raise_exception, strftime_now=clock.strftime,
                               dict=Dict(), namespace=Namespace)
    return environment


def check_sandbox(jinja2, environment):
    """Before 3.1.6 (or Debian's 3.1.2-1+deb12u3) a template could get hold of str.format itself."""
    method = environment.filters["attr"](environment, "{}", "format")
    if isinstance(method, types.BuiltinMethodType):
        raise RuntimeError(f"the sandbox of jinja2 {jinja2.__version__} leaks (CVE-2025-27516); "
                           "want 3.1.6 or newer, or Debian's python3-jinja2")



def render(template, variables, most_chars):
    pieces = []
    size = 0
    for piece in template.generate(**variables):
        size += len(piece)
        if size > most_chars:
            raise TooLong(f"writes more than {most_chars} characters")
        pieces.append(piece)
    return "".join(pieces)


def cut_at_mark(text, answer):
    """The text up to the end of the answer; a template that trims contents loses its spaces too."""
    at = text.rfind(MARK.strip())
    if at < 0 or answer.strip() not in text:
        raise ValueError("the last message, which is to be continued, is not in the text")
    kept = text.startswith(MARK, at)
    return text[:at] if kept else text[:at].rstrip()


def converse(template, source, tokens, request, most_chars):
    messages = [dict(message) for message in request["messages"]]
    goes_on = not request["add_generation_prompt"]
    answer = messages[-1]["content"]
    if goes_on:
        if "content" not in source:
            raise ValueError("the template reads no content that could be continued")
        messages[-1]["content"] = answer + MARK
    variables = {**tokens, "messages": messages, "tools": None, "documents": None,
                 "add_generation_prompt": not goes_on}
    text = render(template, variables, most_chars)
    return cut_at_mark(text, answer) if goes_on else text


def describe(error):
    line = getattr(error, "lineno", None)
    words = f"{type(error).__name__}: {error}"[:2000]
    return words + (f" (line {line})" if line else "")


def answer_with(make, template_error):
    """One line of JSON: the text, or what went wrong and whether the template itself said so."""
    try:
        reply = {"text": make()}
        reply["text"].encode("utf-8")
    except Exception as error:
        reply = {"error": describe(error).encode("utf-8", "replace").decode("utf-8"),
                 "of_template": isinstance(error, template_error)}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
    return "text" in reply


def main():
    setup = json.loads(sys.stdin.buffer.readline())
    made = {}

    def prepare():
        jinja2 = load_jinja()
        clock = datetime.datetime.fromisoformat(setup["date"])
        environment = make_environment(jinja2, clock)
        check_sandbox(jinja2, environment)
        # Loads what Python reads when it first compiles a string: later there is no file to be had.
        environment.from_string("{{ 'a' }}").render()
        made.update(environment=environment, template_error=jinja2.exceptions.TemplateError)
        return f"jinja2 {jinja2.__version__}"

    if not answer_with(prepare, ()):
        return
    give_up_rights(setup["memory_bytes"])

    def compile_template():
        source = json.loads(sys.stdin.buffer.readline())
        made.update(source, template=made["environment"].from_string(source["source"]))
        return ""

    def render_next(line):
        return converse(made["template"], made["source"], made["special_tokens"], json.loads(line),
                        setup["max_characters"])

    # The alarm ends this process if the one that asked is gone and cannot.
    signal.alarm(setup["alarm_s"])
    ready = answer_with(compile_template, made["template_error"])
    signal.alarm(0)
    for line in sys.stdin.buffer if ready else ():
        signal.alarm(setup["alarm_s"])
        answer_with(lambda: render_next(line), made["template_error"])
        signal.alarm(0)


main()
