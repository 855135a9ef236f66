"""What may be asked of the catalogue. Nothing here knows that clouds exist."""

from marketplace.actions.arrivals import fetch_again, fetch_document
from marketplace.actions.certificates import (
    change_certificate,
    distrust_certificate,
    trust_certificate,
)
from marketplace.actions.confirming import confirm_document, refuse_document, report_document
from marketplace.actions.drafts import (
    Measured,
    draft_of_disk,
    draft_of_entry,
    draft_of_file,
    draft_of_url,
    drop_draft,
    keep_draft,
    measure_again,
)
from marketplace.actions.endorsing import (
    deprecate,
    endorse_again,
    extend,
    metadata_of,
    sign_and_publish,
)
from marketplace.actions.finishing import publish_draft
from marketplace.actions.images import (
    FRESH,
    Standing,
    ensure_image,
    evict,
    evict_useless,
    image_for,
    image_lost,
    let_go,
    stop_image,
)
from marketplace.actions.inspecting import inspect, remove_found
from marketplace.actions.keys import (
    end_key,
    key_of,
    new_key,
    signer_of,
    site_address,
    site_key,
    site_keys,
)
from marketplace.actions.opening import (
    approve_publication,
    ask_publication,
    reconsider_publication,
    reject_publication,
    withdraw_publication,
)
from marketplace.actions.pens import Pen, pen_of_file, pen_of_key, pen_of_site
from marketplace.actions.policy import PolicyChange, change_policy
from marketplace.actions.publishing import EVERYBODY, Reader, publish_document
from marketplace.actions.readers import reader, set_readers
from marketplace.actions.registering import Registered, has_known_sums, register_disk
from marketplace.actions.removing import Removed, remove_image
from marketplace.actions.saving import (
    About,
    Saved,
    base_of,
    next_version,
    pen_to_save,
    publish_saved,
)
from marketplace.actions.site import ends_soon, publish
from marketplace.actions.sources import (
    SourceWish,
    add_source,
    change_source,
    import_source,
    remove_source,
    switch_source,
)
from marketplace.actions.uploads import submit
from marketplace.actions.uses import note_launch, note_tested
from marketplace.actions.withdrawing import withdraw_document

__all__ = [
    "EVERYBODY",
    "FRESH",
    "About",
    "Measured",
    "Pen",
    "PolicyChange",
    "Reader",
    "Registered",
    "Removed",
    "Saved",
    "SourceWish",
    "Standing",
    "add_source",
    "approve_publication",
    "ask_publication",
    "base_of",
    "change_certificate",
    "change_policy",
    "change_source",
    "confirm_document",
    "deprecate",
    "distrust_certificate",
    "draft_of_disk",
    "draft_of_entry",
    "draft_of_file",
    "draft_of_url",
    "drop_draft",
    "end_key",
    "endorse_again",
    "ends_soon",
    "ensure_image",
    "evict",
    "evict_useless",
    "extend",
    "fetch_again",
    "fetch_document",
    "has_known_sums",
    "image_for",
    "image_lost",
    "import_source",
    "inspect",
    "keep_draft",
    "key_of",
    "let_go",
    "measure_again",
    "metadata_of",
    "new_key",
    "next_version",
    "note_launch",
    "note_tested",
    "pen_of_file",
    "pen_of_key",
    "pen_of_site",
    "pen_to_save",
    "publish",
    "publish_document",
    "publish_draft",
    "publish_saved",
    "reader",
    "reconsider_publication",
    "refuse_document",
    "register_disk",
    "reject_publication",
    "remove_found",
    "remove_image",
    "remove_source",
    "report_document",
    "set_readers",
    "sign_and_publish",
    "signer_of",
    "site_address",
    "site_key",
    "site_keys",
    "stop_image",
    "submit",
    "switch_source",
    "trust_certificate",
    "withdraw_document",
    "withdraw_publication",
]
