-- What a set in the ledger was asked to be, and as of when.
select
    t.manifest -> 'spec' as spec,
    t.as_known_at
from training_sets as t
where t.set_id = %(set_id)s;
