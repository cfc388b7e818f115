-- Files of the landing zone that wait to be taken in, and those that were refused.
select
    count(distinct d.file_id) filter (where d.is_pending) as files,
    count(distinct d.day) filter (where d.is_pending) as days,
    coalesce(extract(epoch from statement_timestamp() - min(d.requested_at) filter (where d.is_pending)), 0) as oldest_seconds,
    count(distinct d.file_id) filter (where d.refused is not null) as refused
from landing_days as d
where d.is_pending or d.refused is not null;
