-- In Dagster's own database: of the last %(most)s runs those of each job that ended, with the last one's duration.
with lately as (
    select
        r.pipeline_name as job,
        r.status,
        r.start_time,
        r.end_time
    from runs as r
    where r.id > (select max(l.id) from runs as l) - %(most)s and r.end_time is not null
),

last_of as (
    select distinct on (l.job)
        l.job,
        l.end_time - l.start_time as seconds
    from lately as l
    where l.start_time is not null
    order by l.job asc, l.end_time desc
)

select
    l.job,
    count(*) filter (where l.status = 'SUCCESS' and l.end_time > s.since) as succeeded,
    count(*) filter (where l.status = 'FAILURE' and l.end_time > s.since) as failed,
    count(*) filter (where l.status = 'CANCELED' and l.end_time > s.since) as canceled,
    max(l.end_time) filter (where l.status = 'SUCCESS') as succeeded_at,
    max(l.end_time) filter (where l.status = 'FAILURE') as failed_at,
    max(o.seconds) as last_seconds
from lately as l
cross join (select extract(epoch from statement_timestamp()) - 86400 as since) as s
left join last_of as o on l.job = o.job
group by l.job
order by l.job
limit %(most_jobs)s;
