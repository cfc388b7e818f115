-- How old the newest row of each stream was at the last look, those that are not fresh first.
select
    s.instrument,
    s.stream,
    s.last_event_time,
    s.age_seconds,
    s.limit_seconds,
    s.is_fresh,
    s.looked_at
from stream_freshness as s
where %(instruments)s::text[] is null or s.instrument = any(%(instruments)s)
order by s.is_fresh asc nulls last, s.age_seconds / nullif(s.limit_seconds, 0) desc nulls last, s.instrument asc, s.stream asc;
