-- How fresh each stream was when it was last looked at.
select
    f.instrument,
    f.stream,
    f.last_event_time,
    f.age_seconds,
    f.limit_seconds,
    f.is_fresh,
    f.looks,
    f.fresh_looks,
    f.looked_at
from stream_freshness as f
order by f.instrument, f.stream;
