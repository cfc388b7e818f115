-- How fresh each stream of which freshness is promised was at the last look; ages in seconds.
select
    s.instrument,
    s.stream,
    extract(epoch from clock_timestamp() - s.last_event_time) as age_seconds,
    s.is_fresh
from stream_freshness as s
where s.limit_seconds is not null
order by s.is_fresh asc, age_seconds desc nulls first;
