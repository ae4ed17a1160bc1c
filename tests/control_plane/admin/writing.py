"""How the tests of these pages write a mutation: through the form, as a person does."""

from msgspec import Struct

from control_plane.admin.addresses import PREFIX
from tests.control_plane.admin.person import Fields, Person, Seen

HEADLINE: Fields = {
    "name": "Summer headline",
    "pageSlug": "/",
    "mutationPayload.target.selector": "h1",
    "mutationPayload.scope": "inner",
    "mutationPayload.content": "text",
    "mutationPayload.content.value": "Summer is here",
}


class Written(Struct, frozen=True):
    """A mutation that was saved, and the page that followed."""

    id: str
    page: Seen


async def write(person: Person, mutation_type: str = "replace", **fields: str) -> Written:
    """Save a new mutation; `fields` are in the form by the last step of their name."""
    form = await person.open(f"{PREFIX}/new?type={mutation_type}")
    base = dict(HEADLINE) if mutation_type == "replace" else {}
    page = await person.submit(form, "form[data-typed]", base | fields, button="save")
    assert page.status == 200, page.words()
    return Written(page.url.partition("/mutations/")[2].partition("?")[0], page)
