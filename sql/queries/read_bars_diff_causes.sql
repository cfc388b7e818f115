-- Why bars changed: the batches that brought, replaced or ended trades inside each of them between the two times its values stem
-- from, and those that changed what is covered of it.
with bars as (
    select
        d.bar_start,
        d.bar_start + %(grid)s::interval as bar_end,
        coalesce(d.known_before, '-infinity') as known_before,
        coalesce(d.known_after, %(and_at)s) as known_after
    from unnest(%(bar_start)s::timestamptz[], %(known_before)s::timestamptz[], %(known_after)s::timestamptz[])
        as d (bar_start, known_before, known_after)
),

arrived as (
    select
        b.bar_start,
        t.batch_id,
        'load' as kind,
        null as reason
    from bars as b
    inner join raw_trades as t
        on
            b.bar_start <= t.event_time and b.bar_end > t.event_time and t.instrument = %(instrument)s
            and b.known_before < t.known_at and b.known_after >= t.known_at
    union all
    select
        b.bar_start,
        r.batch_id,
        'load' as kind,
        null as reason
    from bars as b
    inner join trade_revisions as r
        on
            b.bar_start <= r.event_time and b.bar_end > r.event_time and r.instrument = %(instrument)s
            and b.known_before < r.known_at and b.known_after >= r.known_at
),

ended as (
    select
        b.bar_start,
        r.ended_by_batch_id as batch_id,
        r.kind,
        r.reason
    from bars as b
    inner join trade_revisions as r
        on
            b.bar_start <= r.event_time and b.bar_end > r.event_time and r.instrument = %(instrument)s
            and b.known_before < r.believed_until and b.known_after >= r.believed_until
),

covered as (
    select
        b.bar_start,
        l.batch_id,
        'coverage' as kind,
        null as reason
    from bars as b
    inner join invalidation_log as l
        on
            b.bar_end > l.from_time and b.bar_start < l.to_time
            and b.known_before < l.logged_at and b.known_after >= l.logged_at
            and l.relation = 'raw_trades' and l.instrument = %(instrument)s and l.reason = 'coverage'
),

causes as (
    -- What a correction or an undo brought is told by what it ended.
    select * from arrived as a
    where not exists (select 1 from ended as e where e.bar_start = a.bar_start and e.batch_id = a.batch_id)
    union all
    select * from ended
    union all
    select * from covered
)

select
    c.bar_start,
    c.kind,
    c.batch_id,
    f.name as file_name,
    coalesce(c.reason, i.reason) as reason,
    count(*) filter (where c.kind <> 'coverage') as trades
from causes as c
left join ingest_batches as i on c.batch_id = i.batch_id
left join landing_files as f on i.file_id = f.file_id
group by c.bar_start, c.kind, c.batch_id, f.name, coalesce(c.reason, i.reason)
order by c.bar_start, c.batch_id, c.kind;
