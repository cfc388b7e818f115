-- The set that was made of a specification as of a time, and whether what it was made from is held still.
select
    t.set_id,
    t.name,
    t.content_sha256,
    t.hold,
    coalesce(
        (
            select bool_or(h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp()))
            from holds as h
            where h.name = t.hold
        ),
        false
    ) as is_held,
    (select max(coalesce(h.released_at, h.expires_at)) from holds as h where h.name = t.hold) as ended_at
from training_sets as t
where t.spec_sha256 = %(spec_sha256)s and t.as_known_at = %(as_known_at)s;
