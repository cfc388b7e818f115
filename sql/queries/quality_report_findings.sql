-- Rules that are broken, what pages first, and how many there are in all and of those that page.
select
    f.finding_id,
    f.rule,
    f.severity,
    f.relation,
    f.instrument,
    f.day,
    f.broken,
    f.examined,
    f.examples,
    f.first_seen,
    f.last_seen,
    count(*) over () as in_all,
    count(*) filter (where f.severity = 'page') over () as paging
from findings as f
where
    f.state = 'open'
    and (%(instruments)s::text[] is null or f.instrument = any(%(instruments)s) or f.instrument is null)
    and (%(since)s::timestamptz is null or f.day is null or (f.day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or f.day is null or f.day::timestamp at time zone 'UTC' < %(until)s)
order by f.severity = 'page' desc, f.first_seen asc, f.finding_id asc
limit %(most)s;
