-- Notes rows that a delivery tells twice, in the transaction that takes it in: told again within a day they are one finding still.
-- Repeated rows less than a minute apart are one, and those without a row between them that is told once.
insert into findings (
    rule, severity, relation, instrument, day, from_time, to_time, broken, examined, examples, detail, state, first_seen, last_seen, run_id
)
select
    'duplicate',
    'page',
    'ingest_batches',
    d.instrument,
    %(day)s,
    d.from_time,
    d.to_time,
    d.broken,
    d.examined,
    d.examples,
    jsonb_build_object(
        'batch_id', %(batch_id)s::bigint, 'file', %(file)s::text, 'stream', %(stream)s::text, 'places', d.places
    ),
    'open',
    clock_timestamp(),
    clock_timestamp(),
    %(run_id)s
from (
    select
        p.instrument,
        min(p.from_time) as from_time,
        max(p.to_time) as to_time,
        sum(p.broken) as broken,
        max(p.examined) as examined,
        (array_agg(p.example order by p.from_time))[1:5] as examples,
        -- Where, stretch by stretch.
        to_jsonb(
            (array_agg(jsonb_build_object('from', p.from_time, 'to', p.to_time, 'rows', p.broken) order by p.from_time))[1:1000]
        ) as places
    from (
        select
            n.instrument,
            min(n.event_time) as from_time,
            max(n.event_time) + interval '1 microsecond' as to_time,
            count(*) as broken,
            max(n.examined) as examined,
            (array_agg(format('line %%s: id %%s', n.line, n.sequence) order by n.line))[1] as example
        from (
            select
                b.*,
                count(*) filter (where b.begins) over (partition by b.instrument order by b.event_time, b.line) as stretch
            from (
                select
                    c.*,
                    (
                        c.event_time - lag(c.event_time) over by_time > interval '1 minute'
                        and c.once_before > lag(c.once_before) over by_time
                    )
                    is not false as begins
                from (
                    select
                        t.*,
                        count(*) filter (where t.copies = 1) over (partition by t.instrument order by t.event_time, t.line) as once_before
                    from (
                        select
                            i.instrument,
                            i.line,
                            i.sequence,
                            i.event_time,
                            row_number() over (partition by i.instrument, i.sequence order by i.line) as copy,
                            count(*) over (partition by i.instrument, i.sequence) as copies,
                            count(*) over (partition by i.instrument) as examined
                        from incoming as i
                        where i.instrument = any(%(instruments)s)
                    ) as t
                ) as c
                where c.copy > 1
                window by_time as (partition by c.instrument order by c.event_time, c.line)
            ) as b
        ) as n
        group by n.instrument, n.stretch
    ) as p
    group by p.instrument
) as d
on conflict (
    rule, relation, coalesce(instrument, ''), coalesce(day, '-infinity'::date), coalesce(from_time, '-infinity'::timestamptz)
) where state = 'open'
do update
    set
        to_time = greatest(findings.to_time, excluded.to_time),
        broken = greatest(findings.broken, excluded.broken),
        detail = excluded.detail,
        last_seen = excluded.last_seen;
