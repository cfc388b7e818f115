-- The holds that stand.
select
    h.name,
    h.relation,
    h.from_day,
    h.until_day
from holds as h
where h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp())
order by h.hold_id;
