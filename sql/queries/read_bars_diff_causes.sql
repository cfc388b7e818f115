-- Why bars changed: the batches that brought, replaced or ended what each of them is made from, between the two times its values
-- stem from, and those that changed what is covered of it.
with source as (
    select coalesce((select s.stream from bar_sources as s where s.instrument = %(instrument)s), 'trades') as stream
),

bars as (
    select
        d.bar_start,
        d.bar_start + %(grid)s::interval as bar_end,
        -- A bar that was not there had gone, or never been.
        coalesce(d.known_before, gone.before, '-infinity') as known_before,
        coalesce(d.known_after, gone.after, %(and_at)s) as known_after
    from
        unnest(%(bar_start)s::timestamptz[], %(known_before)s::timestamptz[], %(known_after)s::timestamptz[])
            as d (bar_start, known_before, known_after)
    cross join
        lateral (
            select
                max(v.believed_until) filter (where v.believed_until <= %(as_known_at)s) as before,
                max(v.believed_until) filter (where v.believed_until <= %(and_at)s) as after
            from bar_revisions as v
            where v.instrument = %(instrument)s and v.interval = %(interval)s and v.bar_start = d.bar_start
        ) as gone
),

span as (
    select
        min(b.bar_start) as from_time,
        max(b.bar_end) as to_time
    from bars as b
),

revisions as (
    select
        r.space,
        r.sequence,
        r.event_time,
        r.known_at,
        r.batch_id,
        r.kind,
        r.believed_until,
        r.ended_by_batch_id,
        r.reason
    from trade_revisions as r
    cross join source
    where
        source.stream = 'trades' and r.instrument = %(instrument)s
        and r.event_time >= (select s.from_time from span as s) and r.event_time < (select s.to_time from span as s)
    union all
    select
        r.space,
        r.sequence,
        r.event_time,
        r.known_at,
        r.batch_id,
        r.kind,
        r.believed_until,
        r.ended_by_batch_id,
        r.reason
    from agg_trade_revisions as r
    cross join source
    where
        source.stream = 'agg_trades' and r.instrument = %(instrument)s
        and r.event_time >= (select s.from_time from span as s) and r.event_time < (select s.to_time from span as s)
),

told as (
    select
        t.space,
        t.sequence,
        t.event_time,
        t.known_at,
        t.batch_id
    from raw_trades as t
    cross join source
    where
        source.stream = 'trades' and t.instrument = %(instrument)s
        and t.event_time >= (select s.from_time from span as s) and t.event_time < (select s.to_time from span as s)
    union all
    select
        t.space,
        t.sequence,
        t.event_time,
        t.known_at,
        t.batch_id
    from raw_agg_trades as t
    cross join source
    where
        source.stream = 'agg_trades' and t.instrument = %(instrument)s
        and t.event_time >= (select s.from_time from span as s) and t.event_time < (select s.to_time from span as s)
    union all
    select
        r.space,
        r.sequence,
        r.event_time,
        r.known_at,
        r.batch_id
    from revisions as r
),

-- What came with its batch; what stands again since another time, by the batch that took something back then.
arrived as (
    select
        b.bar_start,
        t.space,
        t.sequence,
        coalesce(u.batch_id, t.batch_id) as batch_id,
        u.batch_id is not null as is_again
    from bars as b
    inner join told as t
        on b.bar_start <= t.event_time and b.bar_end > t.event_time and b.known_before < t.known_at and b.known_after >= t.known_at
    left join ingest_batches as i on t.batch_id = i.batch_id
    left join ingest_batches as u
        on t.known_at = u.known_at and i.day = u.day and i.known_at <> u.known_at and u.undoes_batch_id is not null
),

events as (
    select
        a.bar_start,
        a.sequence,
        a.batch_id,
        -- What a correction brought may stand in another bar than what it ended.
        case when a.is_again then 'undo' else coalesce(e.kind, 'load') end as kind,
        e.reason
    from arrived as a
    left join lateral (
        select
            max(r.kind) as kind,
            max(r.reason) as reason
        from revisions as r
        where r.ended_by_batch_id = a.batch_id and r.space = a.space and r.sequence = a.sequence
    ) as e on true
    union all
    select
        b.bar_start,
        r.sequence,
        r.ended_by_batch_id as batch_id,
        r.kind,
        r.reason
    from bars as b
    inner join revisions as r
        on
            b.bar_start <= r.event_time and b.bar_end > r.event_time
            and b.known_before < r.believed_until and b.known_after >= r.believed_until
    union all
    select
        b.bar_start,
        null as sequence,
        l.batch_id,
        'coverage' as kind,
        null as reason
    from bars as b
    cross join source
    inner join invalidation_log as l
        on
            'raw_' || source.stream = l.relation and (b.bar_start at time zone 'UTC')::date = l.day
            and l.instrument = %(instrument)s and l.reason = 'coverage'
            and b.bar_end > l.from_time and b.bar_start < l.to_time
            and b.known_before < l.logged_at and b.known_after >= l.logged_at
)

select
    e.bar_start,
    e.kind,
    e.batch_id,
    f.name as file_name,
    coalesce(e.reason, i.reason) as reason,
    count(distinct e.sequence) as trades
from events as e
left join ingest_batches as i on e.batch_id = i.batch_id
left join landing_files as f on i.file_id = f.file_id
group by e.bar_start, e.kind, e.batch_id, f.name, coalesce(e.reason, i.reason)
order by e.bar_start, e.batch_id, e.kind;
