-- Days with landed files that wait to be taken in and were not asked for just now.
select
    d.day,
    max(d.requested_at) as last_requested_at,
    count(*) as files
from landing_days as d
where d.is_pending
group by d.day
having max(d.requested_at) < clock_timestamp() - %(settled_for)s::interval
order by d.day;
