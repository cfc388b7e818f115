-- Why bars changed: the batches that brought, replaced or ended what each of them is made from, between the two times its values
-- stem from, and those that changed what is covered of it. What lies between is what the log has between the refresh that bars were last
-- brought up to date by, and the one that made the later value: a stamp is drawn when a load begins, and bars that are made meanwhile
-- do not see it. Where the log does not tell, or names nothing of a bar, stamps do: a load may commit while a refresh is at work, which
-- then has the higher number and did not see it.
with source as (
    select coalesce((select s.stream from bar_sources as s where s.instrument = %(instrument)s), 'trades') as stream
),

spans as (
    select
        d.bar_start,
        (d.bar_start at time zone 'UTC')::date as day,
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

bars as (
    select
        p.bar_start,
        p.bar_end,
        p.day,
        p.known_before,
        p.known_after,
        greatest(before.up_to_date, before.made) as id_before,
        after.made as id_after
    from spans as p
    cross join
        lateral (
            select
                -- A refresh works off all that waits of a day, whether it changes this bar or not.
                max(l.invalidation_id) filter (where l.logged_at <= %(as_known_at)s) as up_to_date,
                min(l.invalidation_id) filter (
                    where l.logged_at >= p.known_before and l.from_time <= p.bar_start and l.to_time > p.bar_start
                    and p.known_before > '-infinity'
                ) as made
            from invalidation_log as l
            where l.relation = 'bars_' || %(interval)s and l.day = p.day and l.instrument = %(instrument)s and l.reason = 'refresh'
        ) as before
    cross join
        lateral (
            select min(l.invalidation_id) as made
            from invalidation_log as l
            where
                l.relation = 'bars_' || %(interval)s and l.day = p.day and l.instrument = %(instrument)s and l.reason = 'refresh'
                and l.logged_at >= p.known_after and l.from_time <= p.bar_start and l.to_time > p.bar_start
        ) as after
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
        t.known_at,
        coalesce(u.batch_id, t.batch_id) as batch_id,
        u.batch_id is not null as is_again
    from bars as b
    inner join told as t on b.bar_start <= t.event_time and b.bar_end > t.event_time
    left join ingest_batches as i on t.batch_id = i.batch_id
    left join ingest_batches as u
        on t.known_at = u.known_at and i.day = u.day and i.known_at <> u.known_at and u.undoes_batch_id is not null
),

changes as (
    select
        a.bar_start,
        a.sequence,
        a.known_at as changed_at,
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
        r.believed_until as changed_at,
        r.ended_by_batch_id as batch_id,
        r.kind,
        r.reason
    from bars as b
    inner join revisions as r on b.bar_start <= r.event_time and b.bar_end > r.event_time
),

batches as (
    select
        l.day,
        l.batch_id,
        max(l.invalidation_id) as invalidation_id
    from invalidation_log as l
    cross join source
    where
        'raw_' || source.stream = l.relation and l.day in (select b.day from bars as b) and l.instrument = %(instrument)s
        and l.batch_id is not null
    group by l.day, l.batch_id
),

events as (
    select
        c.bar_start,
        c.sequence,
        c.batch_id,
        c.kind,
        c.reason,
        b.known_before < c.changed_at and b.known_after >= c.changed_at as is_by_stamp,
        case
            when b.id_before is null or w.invalidation_id is null then b.known_before < c.changed_at
            else b.id_before < w.invalidation_id
        end
        and case
            when b.id_after is null or w.invalidation_id is null then b.known_after >= c.changed_at
            else b.id_after > w.invalidation_id
        end as is_by_log
    from changes as c
    inner join bars as b on c.bar_start = b.bar_start
    left join batches as w on b.day = w.day and c.batch_id = w.batch_id
    union all
    select
        b.bar_start,
        null as sequence,
        l.batch_id,
        'coverage' as kind,
        null as reason,
        b.known_before < l.logged_at and b.known_after >= l.logged_at as is_by_stamp,
        case when b.id_before is null then b.known_before < l.logged_at else b.id_before < l.invalidation_id end
        and case when b.id_after is null then b.known_after >= l.logged_at else b.id_after > l.invalidation_id end as is_by_log
    from bars as b
    cross join source
    inner join invalidation_log as l
        on
            'raw_' || source.stream = l.relation and b.day = l.day
            and l.instrument = %(instrument)s and l.reason = 'coverage'
            and b.bar_end > l.from_time and b.bar_start < l.to_time
),

told_by_log as (
    select distinct e.bar_start
    from events as e
    where e.is_by_log
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
left join told_by_log as g on e.bar_start = g.bar_start
where case when g.bar_start is null then e.is_by_stamp else e.is_by_log end
group by e.bar_start, e.kind, e.batch_id, f.name, coalesce(e.reason, i.reason)
order by e.bar_start, e.batch_id, e.kind;
