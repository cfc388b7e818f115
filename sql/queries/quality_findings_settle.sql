-- Brings the open findings of a scope in step with what was found: opens, keeps up to date, resolves. The caller holds the scope's lock.
with found as (
    select f.*
    from jsonb_to_recordset(%(found)s) as f (
        rule text, severity text, relation text, instrument text, day date, from_time timestamptz, to_time timestamptz, broken bigint,
        examined bigint, examples text[], detail jsonb
    )
),

settled as (
    insert into findings (
        rule, severity, relation, instrument, day, from_time, to_time, broken, examined, examples, detail, state, first_seen, last_seen,
        run_id
    )
    select
        f.rule,
        f.severity,
        f.relation,
        f.instrument,
        f.day,
        f.from_time,
        f.to_time,
        f.broken,
        f.examined,
        f.examples,
        f.detail,
        'open',
        clock_timestamp(),
        clock_timestamp(),
        %(run_id)s
    from found as f
    on conflict (
        rule, relation, coalesce(instrument, ''), coalesce(day, '-infinity'::date), coalesce(from_time, '-infinity'::timestamptz)
    ) where state = 'open'
    do update
        set
            severity = excluded.severity,
            to_time = excluded.to_time,
            broken = excluded.broken,
            examined = excluded.examined,
            examples = excluded.examples,
            detail = excluded.detail,
            last_seen = excluded.last_seen,
            run_id = excluded.run_id
    returning finding_id, xmax = 0 as is_new
),

resolved as (
    update findings as o
    set state = 'resolved', resolved_at = clock_timestamp()
    where
        o.state = 'open'
        and o.rule = any(%(rules)s)
        and o.relation = %(relation)s
        and o.day is not distinct from %(day)s
        and (%(instruments)s::text[] is null or o.instrument = any(%(instruments)s))
        and not exists (
            select 1 from found as f
            where
                f.rule = o.rule
                and f.relation = o.relation
                and f.instrument is not distinct from o.instrument
                and f.day is not distinct from o.day
                and f.from_time is not distinct from o.from_time
        )
    returning o.finding_id
)

select
    (select count(*) from settled as s where s.is_new) as opened,
    (select count(*) from settled as s where not s.is_new) as kept,
    (select count(*) from resolved) as resolved;
