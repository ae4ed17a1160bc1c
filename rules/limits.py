"""Every bound of the deciding core, each with its reason. Units are last in the names."""

RULES_FILE_BYTES_MAX = 32 * 1024 * 1024
"""A rules file: 10,000 mutations of 2 KB fit with room; more is a mistake or an attack."""

VERSION_MAX = 2**31 - 1
"""Versions of one document: what a PostgreSQL integer counts, at one a second for 68 years."""

PROBLEM_CHARACTERS_MAX = 1_200
"""What is wrong with a rule, or where: a line that a person reads, whatever is quoted in it."""

ENTRIES_MAX = 100_000
"""Mutations (or experiments, modules, segments) in one file or table: memory per worker stays in the tens of megabytes."""

OPERATIONS_MAX = 100
"""Operations in one mutation: beyond that it is a redesign, and the page budget would refuse it."""

CONTENT_CHARACTERS_MAX = 64 * 1024
"""One piece of inserted text or HTML: larger than any module of a real page."""

SELECTOR_CHARACTERS_MAX = 1_024
"""One CSS selector: generated ones reach some hundred characters."""

NAME_CHARACTERS_MAX = 200
"""Names and notes' first lines, as shown in lists."""

NOTE_CHARACTERS_MAX = 10_000
"""A free note of an author."""

PATTERN_CHARACTERS_MAX = 1_024
"""A page pattern or a regular expression."""

CONDITION_DEPTH_MAX = 20
"""Nesting of a condition: evaluated by recursion over closures, so the stack is bounded."""

CONDITION_NODES_MAX = 10_000
"""Values in one condition, lists included: `$in` with a few thousand ids is legitimate."""

CONDITION_TEXT_CHARACTERS_MAX = 10_000
"""One text in a condition, or a key of it: no attribute is longer, since a request's head is not."""

PATTERN_MEMORY_BYTES_MAX = 1024 * 1024
"""What RE2 may take for one regular expression: ordinary ones take some kilobytes, and `\\pN{1000}` takes 8 MB and a third of
a second, which a file could ask for ten thousand times."""

VARIATIONS_MAX = 50
"""Variations of one experiment: no traffic can tell more apart."""

RANGES_MAX = 200
"""Ranges of one variation: each edit of the weights adds a few, and nobody edits an experiment a hundred times."""

RAMP_STEPS_MAX = 50
"""Steps of a ramp: the usual one has five."""

PREREQUISITES_MAX = 10
"""Experiments that one experiment may require: who fulfils more is nobody."""

PREREQUISITE_DEPTH_MAX = 10
"""Prerequisites of prerequisites: assigned by recursion, so the stack is bounded."""

BUCKET_VERSION_MAX = 1_000
"""Times that one experiment forgets what visits remember; each excluded version is looked up for a visit."""

PREVIEW_TOKEN_CHARACTERS_MAX = 6_000
"""What a preview link carries in its address: many servers in front take a line of 8 KB."""

PREVIEW_BYTES_MAX = 64 * 1024
"""The same decompressed: ten times as much as compresses into a link of ordinary rules."""

PLACEHOLDERS_MAX = 50
"""Placeholders in one text: a component with more is a page of its own."""

PLACEHOLDER_VALUE_CHARACTERS_MAX = 500
"""One value of a visit that is written into a page: longer than any name, and a visitor can't make pages grow."""

PLACEHOLDER_PATH_CHARACTERS_MAX = 200
"""A dotted path to an attribute."""

COMPONENT_DEPTH_MAX = 10
"""Components inside components: rendered by recursion, and no page nests its modules deeper."""

PROPS_MAX = 50
"""Props of one component, and entries of one prop that is a list."""

CASES_MAX = 50
"""Cases of one emotion map: more moods than anybody tells apart."""

ATTRIBUTES_DECLARED_MAX = 100
"""Attributes that one rules file declares: each that is remembered takes room in a cookie of every visitor."""

STEPS_MAX = 20
"""Steps of a journey: longer ones are two journeys."""

QUESTIONS_MAX = 30
"""Questions of a quiz: nobody answers more."""

ANSWERS_MAX = 50
"""Answers of a question: a longer list is a search."""

COUNT_MAX = 1_000_000
"""How far a counter counts: what comes after is "often"."""

SESSION_MINUTES = 30
"""Without a page for so long, the next one begins a new session: what analytics of the web have agreed on."""

STATE_MINUTES_STALE = 5
"""How old the last page in a state may be before a page that adds nothing writes it anew: sessions are right to five minutes,
and not every page sets a cookie."""

STATE_BYTES_MAX = 1_333
"""An encoded state: with version and signature 1,800 characters in a cookie. A request's head should stay below 8 KB with
the site's own cookies, which is what many servers take, and browsers send ours with each request."""

STATE_DAYS_MAX = 395
"""How long a state lives from its first page on, however often it is renewed: 13 months, the longest that data protection
authorities find right for what is kept in a browser."""

REFERRAL_CHARACTERS_MAX = 100
"""One field of a first referral: longer campaign names are tokens, and they take room from all else."""

GROUP_MEMBERS_MAX = 100_000
"""Members of one saved group: more belongs into an attribute that the site hands over."""

GROUP_MEMBER_CHARACTERS_MAX = 1_000
"""One member of a saved group: an id, an address."""

TRIGGER_WORDS_MAX = 100
"""Words of one trigger: devices, regions, locales, answers."""

ATTRIBUTE_CHARACTERS_MAX = 500
"""One text of a visit that a request says (a cookie, a header, a parameter of a campaign): a longer one says nothing that a
rule would ask for, and is left out whole, since a part of it could be taken for something else."""

QUERY_PARAMETERS_MAX = 100
"""Parameters of one address that conditions can read; more is noise."""

ZONE_CHARACTERS_MAX = 64
"""The name of a time zone; the longest is half as long."""

HANDED_OVER_BYTES_MAX = 16 * 1024
"""What an origin says of its page in one place, in JSON: a header has to fit through every proxy, and rules ask for words."""

HANDED_OVER_NAMES_MAX = 100
"""Attributes that an origin hands over with one page."""

HANDED_OVER_TAGS_MAX = 5_000
"""Metas, scripts, styles and their like that are passed in search of what an origin hands over: real pages have a hundred."""

STYLE_ATTRIBUTE_CHARACTERS_MAX = 4 * 1024
"""A `style` attribute that is read: real ones have some hundred characters, and reading 4 KB takes 5 ms."""

STYLE_VALUE_CHARACTERS_MAX = 1_000
"""One value of a property or token that a rule sets."""

DECLARATIONS_MAX = 100
"""Properties, tokens, attributes or parameters that one payload sets."""

ADDRESS_CHARACTERS_MAX = 2_000
"""An address that a rule writes: what every client and proxy takes."""

IDLE_S_MAX = 3_600
"""How long a visitor is idle before a mutation: nobody waits on a page longer than an hour."""

MATCHES_MAX = 10_000
"""Elements one operation may touch on a page where the author set no `maxMatches`."""

PAGE_BYTES_MAX = 4 * 1024 * 1024
"""A page that is parsed at all: the largest real pages are about 3 MB; at 400 MB/s this is 10 ms."""

ORDER_MAX = 200
"""Entries of one order, or modules of one region: more than people arrange by hand."""

REGIONS_MAX = 50
"""Regions of one layout: pages have a handful."""

LEAVING_MAX = ORDER_MAX * REGIONS_MAX
"""Children that an order spares: a layout spares the modules of all its other regions."""

TAGS_MAX = 100_000
"""Signs `<` in a page that is parsed: the largest real page has 19,000; elements cost more time and memory than bytes."""

DEPTH_MAX = 512
"""Elements inside each other: browsers build no deeper trees (Blink puts what is deeper beside it), so none is what we see."""

ATTRIBUTES_MAX = 1_000
"""Attributes of an element whose tags are looked for: where each of them is takes time, and real ones have some dozens."""

OPEN_ELEMENTS_MAX = 32
"""Last children inside each other that are looked through for the end of one that the source leaves open; real pages: 6."""

REREAD_TIMES_MAX = 32
"""Times that a whole page is read again to make sure of spans: ten containers of everything, each around the last."""

PROOF_ATTEMPTS_MAX = 32
"""Rewrites of one page that are tried to find which mutation a page can't take: each costs two parses."""

PROOF_TAGS_MAX = 20_000
"""Tags in all these rewrites together, so that a large page is tried less often: a visitor waits for it. The mutations that
need no proof come first, and are not counted."""

GAPS_MAX = 256
"""Places in which the pages of one address may differ and still be one page; each costs a microsecond per visit."""

GAP_BYTES_MAX = 4096
"""What may stand in one of them: the longest tokens (a signed state of a form) are about that long."""

TABLE_BYTES_MAX = 64 * 1024 * 1024
"""A sealed decision table: the limits of a rules file, and room for a format to grow."""

TABLE_HEAD_BYTES_MAX = 2 * 1024 * 1024
"""The head of a sealed table: twice that of `ENTRIES_MAX` mutations. It is copied and hashed before anybody knows who signed it."""
