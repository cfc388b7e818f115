-- In Dagster's own database: runs that are not over, by status, and how old the oldest is. Its times are of the zone of
-- its sessions, which is that of this one.
select
    r.status,
    count(*) as runs,
    max(
        case
            when r.start_time is null then extract(epoch from statement_timestamp() - r.create_timestamp::timestamptz)
            else extract(epoch from statement_timestamp()) - r.start_time
        end
    ) as oldest_seconds
from runs as r
where r.status = any(%(statuses)s)
group by r.status;
