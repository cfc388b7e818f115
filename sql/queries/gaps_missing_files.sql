-- The days of which nothing is held though the instrument was expected: they are over, nothing that landed waits, and no file that claims
-- the day says that nobody traded. With what is announced of them, and the gap that tells of each, if there is one.
select
    i.instrument,
    i.bars_stream,
    d.day,
    g.gap_id,
    m.reason as announced
from instruments as i
cross join unnest(%(days)s::date[]) as d (day)
left join gaps as g
    on
        i.instrument = g.instrument and i.bars_stream = g.stream and g.kind = 'file' and g.state <> 'healed'
        and g.from_time = d.day::timestamp at time zone 'UTC'
left join lateral (
    select o.reason from alert_mutes as o
    where
        o.ended_at is null and o.scope in (i.instrument, i.venue) and (o.rule is null or o.rule = 'gap')
        and o.from_time <= d.day::timestamp at time zone 'UTC'
        and o.to_time >= (d.day + 1)::timestamp at time zone 'UTC' - interval '1 second'
    order by o.mute_id
    limit 1
) as m on true
where
    i.valid_to is null and i.listed_on <= d.day and (i.delisted_on is null or i.delisted_on > d.day) and d.day < %(today)s
    and (%(instruments)s::text[] is null or i.instrument = any(%(instruments)s))
    and not exists (
        select 1 from coverage as c
        where c.instrument = i.instrument and c.stream = i.bars_stream and c.day = d.day and c.row_count > 0
    )
    and not exists (
        select 1
        from landing_days as l
        inner join landing_files as f on l.file_id = f.file_id
        where l.day = d.day and l.is_pending and f.stream = i.bars_stream and f.given_instrument in ('', i.instrument)
    )
    and not exists (
        select 1 from landing_files as f
        where
            f.stream = i.bars_stream and f.given_instrument = i.instrument and f.declared @> d.day
            -- What claims no day is stored as a range without ends.
            and not lower_inf(f.declared)
            and not exists (select 1 from landing_days as l where l.file_id = f.file_id and l.day = d.day)
    )
order by i.instrument, d.day;
