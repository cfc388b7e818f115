-- Days with landed files that wait to be taken in and were not asked for just now, with the streams of these files.
select
    d.day,
    max(d.requested_at) as last_requested_at,
    count(*) as files,
    array_agg(distinct f.stream order by f.stream) as streams
from landing_days as d
inner join landing_files as f on d.file_id = f.file_id
where d.is_pending
group by d.day
having max(d.requested_at) < clock_timestamp() - %(settled_for)s::interval
order by d.day;
