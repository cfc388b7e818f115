-- What some references are.
select
    r.reference_id,
    r.source,
    t.name,
    r.from_time,
    r.until_time,
    r.as_known_at,
    r.made_at
from feature_references as r
left join training_sets as t on r.set_id = t.set_id
where r.reference_id = any(%(reference_ids)s)
order by r.reference_id;
