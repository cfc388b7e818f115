-- Changes of the ticks of some instruments that were logged by a time, and touch some days: what, where, by which
-- batch of which file, and why in the words of who did it. What features show by the earlier time, those of the next day too where it
-- reaches them, is none of it: it made no difference between the two.
select
    l.instrument,
    l.relation,
    coalesce(r.kind, l.reason) as kind,
    l.from_time,
    l.to_time,
    l.logged_at,
    l.batch_id,
    f.name as file_name,
    coalesce(r.reason, i.reason) as reason
from invalidation_log as l
left join ingest_batches as i on l.batch_id = i.batch_id
left join landing_files as f on i.file_id = f.file_id
left join lateral (
    select
        max(v.kind) as kind,
        max(v.reason) as reason
    from (
        select
            t.kind,
            t.reason
        from trade_revisions as t
        where
            t.ended_by_batch_id = l.batch_id and t.instrument = l.instrument
            and t.event_time >= l.from_time and t.event_time < l.to_time
        union all
        select
            a.kind,
            a.reason
        from agg_trade_revisions as a
        where
            a.ended_by_batch_id = l.batch_id and a.instrument = l.instrument
            and a.event_time >= l.from_time and a.event_time < l.to_time
    ) as v
) as r on l.reason = 'correction'
where
    l.relation in ('raw_trades', 'raw_agg_trades', 'raw_quotes') and l.instrument = any(%(instruments)s::text[])
    and l.day >= %(first_day)s and l.day <= %(last_day)s
    and l.logged_at <= %(until)s
    and coalesce(
        (
            select max(d.shown_at)
            from (
                select min(m.logged_at) as shown_at
                from invalidation_log as m
                where
                    m.relation = 'features_1m' and m.instrument = l.instrument and m.invalidation_id > l.invalidation_id
                    and m.day in (l.day, ((l.to_time + %(reach)s) at time zone 'UTC')::date)
                group by m.day
            ) as d
        ),
        l.logged_at
    ) > %(after)s
order by l.invalidation_id;
