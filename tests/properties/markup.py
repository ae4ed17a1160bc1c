"""Pages for the properties: tag soup in many encodings, and well-formed pages with an id on every element.

Counterpart: `tests.trees` says what a page becomes. Never: a real page; those are in `../shared`.
"""

import codecs

from hypothesis import strategies as st

from rules import model

WORDS = st.text(alphabet="abc Ä漢é\u20ac&;<>\"'=/!-\0\r\n\t", max_size=12)

PIECES = st.sampled_from(
    """
    <html> <head> </head> <body> </body> </html> <title> </title> <h1> <h1\tclass=a> </h1> <p> <p\tid=x> </p> <div>
    </div> <b> </b> <i> </i> <a\thref=/> </a> <ul> <li> </li> </ul> <table> <tr> <td> </td> </tr> </table> <select>
    <option> </select> <br> <br/> <img\talt="x"> <!-- --> <!---> <script> </script> <style> </style> <textarea>
    </textarea> <pre> </pre> <svg> <path/> </svg> <math> <mi> </mi> </math> <template> </template> <form> </form>
    <button> </button> <!doctype\thtml> <![CDATA[ ]]> <noscript> </noscript> <plaintext> <frameset> <p <p\tclass
    <p\tclass="a\tb"x> <P\tCLASS='Ab'> <p\tclass=a\tclass=b> <p\tstyle="a:b;color\t:&#114;ed"> <p\tstyle='a:(b'> <p\tstyle> <a\thref="/?u=0&amp;y&copy=1#z"> </ </> < <? &amp; &copy &#0; <nobr> <font\tsize=1>
    """.split()
).map(lambda piece: piece.replace("\t", " "))

SOUP = st.lists(PIECES | PIECES | WORDS, max_size=25).map("".join)

ENCODINGS = ("utf-8", "shift_jis", "gbk", "latin-1", "cp1252", "utf-16-le", "utf-16-be", "koi8-r")


@st.composite
def pages(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """Bytes of tag soup, and the charset that the Content-Type would name."""
    text, encoding = draw(SOUP), draw(st.sampled_from(ENCODINGS))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    page = text.encode(encoding, "replace")
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding)
    if mark and draw(st.booleans()):
        page = mark + page
    if draw(st.booleans()):
        page = page[: draw(st.integers(0, len(page)))]
    if draw(st.booleans()):
        page += draw(st.binary(max_size=8))
    return page, draw(st.sampled_from([encoding, encoding.upper(), None]))


SELECTORS = st.sampled_from(
    [
        "h1",
        "p",
        "div",
        "b",
        "a",
        "li",
        "td",
        "tr",
        "table",
        "body",
        "head",
        "title",
        "pre",
        "svg",
        "textarea",
        "*",
        "p:first-child",
        ".a",
        "[class]",
        "li + li",
        "ul > li",
        "br",
        "script",
        "template",
        "#x",
        '[alt="x"]',
        "i",
        "[class=Ä]",
        "select",
        "option",
        "html",
        "form",
        "math *",
        "font",
        "nobr",
    ]
)
CONTENTS = st.sampled_from(
    [model.Content(text=text) for text in ("", "N & <w>", "Ä漢\u20ac", "\nx", "\r\n")]
    + [model.Content(html=html) for html in ("<b class=n>N</b>", "<div>Ü</div>", "<li>o</li>", "<tr></tr>", "<br>")]
)
TEXTS = CONTENTS.filter(lambda content: content.text is not None)
CLASS_NAMES = st.lists(st.sampled_from(["a", "b", "Ä"]), min_size=1, max_size=2)


def operations(selectors: st.SearchStrategy[str] = SELECTORS) -> st.SearchStrategy[model.Operation]:
    """Any operation on elements that one of `selectors` names."""
    target = st.builds(model.Target, selector=selectors, required=st.booleans())
    written = (model.Before, model.After, model.Prepend, model.Append, model.SetInnerContent, model.Replace)
    tokens, declared = (
        {"--a": "1px"},
        st.sampled_from([{"color": "blue"}, {"color": "red", "--a": "'Ä\"'"}, {"top": "0"}]),
    )
    parameters = st.sampled_from([{"u": "1"}, {"u": "ä &", "v": ""}, {"copy": "2"}])
    plain = (model.Remove, model.RemoveAndKeepContent, model.HideByStyle)
    names, values = st.sampled_from(["data-x", "class", "title", "alt"]), st.sampled_from(["", "v", 'Ä"&<'])
    return st.one_of(
        *(st.builds(verb, target=target, content=CONTENTS) for verb in written),
        *(st.builds(verb, target=target) for verb in plain),
        moves(selectors),
        st.builds(model.SetText, target=target, content=TEXTS),
        st.builds(model.SetAttribute, target=target, name=names, value=values),
        st.builds(model.RemoveAttribute, target=target, name=names),
        st.builds(model.SetStyle, target=target, properties=declared),
        st.builds(model.SetParameters, target=target, parameters=parameters),
        st.builds(model.SetTokens, target=target, tokens=st.just(tokens)),
        st.builds(model.OrderByStyle, target=target, order=st.lists(target, min_size=1, max_size=2)),
        st.builds(model.AddClass, target=target, names=CLASS_NAMES),
        st.builds(model.RemoveClass, target=target, names=CLASS_NAMES),
    )


def moves(selectors: st.SearchStrategy[str] = SELECTORS) -> st.SearchStrategy[model.Operation]:
    """Any operation that says where elements stand, going by what `selectors` names."""
    target = st.builds(model.Target, selector=selectors, required=st.booleans())
    other = st.builds(model.Target, selector=selectors)
    verbs = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)
    order = st.builds(
        model.ReorderChildren,
        target=target,
        order=st.lists(other, min_size=1, max_size=4),
        adopt=st.booleans(),
        leaving=st.lists(other, max_size=1),
    )
    return st.one_of(*(st.builds(verb, target=target, anchor=other) for verb in verbs), order, order)


# -- well-formed pages

IDS = tuple(f"e{number}" for number in range(12))
"""Ids of a well-formed page, in the order of their start tags; a page may have fewer elements."""

CHILDREN = {
    "main": ("section", "ul", "h1", "p", "table"),
    "section": ("h1", "p", "ul", "pre", "form"),
    "ul": ("li",),
    "li": ("p", "span", "ul"),
    "h1": ("span", "em"),
    "p": ("span", "em", "br", "a"),
    "a": (),
    "span": ("em", "br"),
    "em": (),
    "br": (),
    "pre": ("span",),
    "form": ("p", "input"),
    "input": (),
    "table": ("tbody",),
    "tbody": ("tr",),
    "tr": ("td",),
    "td": ("p", "span"),
}
NO_TEXT = ("ul", "table", "tbody", "tr")


@st.composite
def well_formed(draw: st.DrawFn) -> str:
    """A page with every tag written out, and the ids of `IDS`."""
    ids = iter(IDS)

    def element(tag: str, depth: int) -> str:
        identifier = next(ids, None)
        if identifier is None:
            return ""
        ways = (f'<{tag} id="{identifier}">', f"<{tag}\n\tclass='k  l' id={identifier} >")
        styled = (f'<{tag} style="a:b; COLOR : green" id="{identifier}">', f"<{tag} style=a:b id={identifier}>")
        opened = draw(st.sampled_from([*ways, *styled]))
        if tag == "a":
            opened = opened.replace("id=", "href='/x?u=0&amp;y&amp;u#z' id=")
        if tag in ("br", "input"):
            return opened
        inside = []
        kinds = CHILDREN[tag] if depth < 5 else ()
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=3)) if kinds else ():
            inside.append(element(kind, depth + 1))
            if tag not in NO_TEXT and draw(st.booleans()):
                inside.append(draw(st.sampled_from([" ", "text", "&amp;", "\n"])))
        return f"{opened}{''.join(inside)}</{tag}>"

    blocks = "".join(element("main", 0) for _ in range(draw(st.integers(1, 2))))
    return f"<!doctype html><html><head><title>t</title></head><body>{blocks}</body></html>"
