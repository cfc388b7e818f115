-- The last run of each kind that ended, and whether one is under way.
select
    named.kind,
    ended.finished_at,
    ended.started_at,
    ended.checks,
    ended.broken,
    ended.errors,
    (
        select max(r.started_at) from quality_runs as r
        where r.kind = named.kind and r.finished_at is null
    ) as under_way_since
from unnest(%(kinds)s::text[]) with ordinality as named (kind, place)
left join lateral (
    select
        r.finished_at,
        r.started_at,
        r.checks,
        r.broken,
        r.errors
    from quality_runs as r
    where r.kind = named.kind and r.finished_at is not null
    order by r.finished_at desc
    limit 1
) as ended on true
order by named.place;
