-- The training sets whose hold stands, the newest first, or those of a name: what they were made from and when that was known.
select
    t.set_id,
    t.name,
    t.as_known_at,
    t.manifest
from training_sets as t
where
    (%(name)s::text is null or t.name = %(name)s)
    and exists (
        select 1 from holds as h
        where h.name = t.hold and h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp())
    )
order by t.made_at desc, t.set_id desc;
