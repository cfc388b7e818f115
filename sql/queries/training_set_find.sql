-- The set that was made of a specification as of a time, and whether what it was made from has been held ever since. A hold that was
-- placed later under the same name keeps what is there, not what was.
select
    t.set_id,
    t.name,
    t.content_sha256,
    t.hold,
    coalesce(bool_or(h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp())), false) as is_held,
    max(coalesce(h.released_at, h.expires_at)) as ends_at,
    t.manifest
from training_sets as t
left join holds as h on t.hold = h.name and t.made_at >= h.placed_at
where t.spec_sha256 = %(spec_sha256)s and t.as_known_at = %(as_known_at)s
group by t.set_id;
