-- When the hold of a name ends, where it covers some days of all tables and instruments.
select h.expires_at
from holds as h
where
    h.name = %(name)s and h.released_at is null and h.relation is null and h.instrument is null
    and (h.from_day is null or h.from_day <= %(from_day)s) and (h.until_day is null or h.until_day >= %(until_day)s);
