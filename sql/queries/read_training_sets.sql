-- Every training set, as the contract has it.
select
    set_id,
    name,
    spec_sha256,
    as_known_at,
    content_sha256,
    row_count,
    manifest,
    hold,
    made_at,
    made_by
from training_sets
order by set_id;
