-- The least likely values of a window, by how far they are beyond their threshold, and how many there are in all.
select
    a.rule,
    a.relation,
    a.instrument,
    a.from_time,
    a.to_time,
    a.value,
    a.expected,
    a.score,
    a.threshold,
    a.found_at,
    count(*) over () as in_all
from anomalies as a
where
    a.from_time >= %(since)s and a.from_time < %(until)s
    and (%(instruments)s::text[] is null or a.instrument = any(%(instruments)s))
order by abs(a.score) / nullif(a.threshold, 0) desc nulls last, a.instrument asc, a.from_time asc, a.rule asc
limit %(most)s;
