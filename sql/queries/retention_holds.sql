-- The holds that cover some relations on some days.
select h.name
from holds as h
where
    h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp())
    and (h.relation is null or h.relation = any(%(relations)s))
    and (h.from_day is null or h.from_day < %(to_day)s) and (h.until_day is null or h.until_day > %(from_day)s)
order by h.name;
