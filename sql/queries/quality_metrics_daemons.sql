-- In Dagster's own database: when each daemon last said that it lives. Its times are of the zone of its sessions, which is
-- that of this one.
select
    h.daemon_type,
    extract(epoch from h.timestamp::timestamptz) as beat_at
from daemon_heartbeats as h
order by h.daemon_type
limit %(most)s;
