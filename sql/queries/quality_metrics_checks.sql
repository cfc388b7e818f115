-- The last run of each kind that ended, and since when one is under way.
select
    named.kind,
    extract(epoch from ended.finished_at) as finished_at,
    extract(epoch from statement_timestamp() - ended.finished_at) as age_seconds,
    extract(epoch from ended.finished_at - ended.started_at) as seconds,
    ended.broken,
    cardinality(ended.errors) as errors
from unnest(%(kinds)s::text[]) as named (kind)
left join lateral (
    select
        r.started_at,
        r.finished_at,
        r.broken,
        r.errors
    from quality_runs as r
    where r.kind = named.kind and r.finished_at is not null
    order by r.finished_at desc
    limit 1
) as ended on true;
