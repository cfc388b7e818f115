-- Streams that are not as fresh as is promised.
select
    f.instrument,
    f.stream,
    f.last_event_time,
    f.limit_seconds,
    f.looked_at
from stream_freshness as f
where f.is_fresh = false
order by f.looked_at desc
limit %(most)s;
