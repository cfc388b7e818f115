-- What waits to be refreshed on one day: per instrument the merged windows on the grid of the bars, and for each relation that
-- is followed the last entry. Where more than %(most)s entries wait, it is the whole day, and they are not read. Changes of ticks wait
-- until those that this consumer is made from show them; they count where bars are made from them.
with followed as (
    select
        named.instrument,
        source.relation,
        coalesce(a.applied_through, 0) as applied_through,
        case when source.relation = coalesce(s.relation, 'raw_trades') then (
            select min(coalesce(u.applied_through, 0))
            from unnest(%(upstream)s::text[]) as above (consumer)
            left join invalidations_applied as u
                on above.consumer = u.consumer and u.relation = source.relation and u.instrument = named.instrument and u.day = %(day)s
        ) end as shown_through
    from unnest(%(instruments)s::text[]) as named (instrument)
    cross join unnest(%(relations)s::text[]) as source (relation)
    left join bar_sources as s on named.instrument = s.instrument
    left join invalidations_applied as a
        on a.consumer = %(consumer)s and source.relation = a.relation and named.instrument = a.instrument and a.day = %(day)s
    where source.relation not in ('raw_trades', 'raw_agg_trades') or source.relation = coalesce(s.relation, 'raw_trades')
),

pending as (
    select
        f.instrument,
        f.relation,
        waiting.windows,
        waiting.last_id,
        waiting.entries,
        f.shown_through
    from followed as f
    -- Entry by entry from where the consumer stands: what it has worked off is not read again.
    cross join
        lateral (
            select
                range_agg(tstzrange(touched.window_start, touched.window_end)) as windows,
                max(touched.last_id) as last_id,
                sum(touched.entries) as entries
            from (
                select
                    date_bin(%(grid)s::interval, l.from_time, timestamptz '2000-01-01 00:00:00+00') as window_start,
                    date_bin(%(grid)s::interval, l.to_time - interval '1 microsecond', timestamptz '2000-01-01 00:00:00+00')
                    + %(grid)s::interval as window_end,
                    max(l.invalidation_id) as last_id,
                    count(*) as entries
                from (
                    select
                        e.invalidation_id,
                        e.from_time,
                        e.to_time
                    from invalidation_log as e
                    where
                        e.relation = f.relation and e.day = %(day)s and e.instrument = f.instrument
                        and e.invalidation_id > f.applied_through
                        and e.invalidation_id <= coalesce(f.shown_through, 9223372036854775807)
                    order by e.invalidation_id
                    limit %(most)s + 1
                ) as l
                group by window_start, window_end
            ) as touched
        ) as waiting
    where waiting.last_id is not null
),

settled as (
    select
        p.instrument,
        p.relation,
        case
            when p.entries <= %(most)s then p.windows
            else tstzmultirange(tstzrange(%(day)s::date::timestamp at time zone 'UTC', (%(day)s::date + 1)::timestamp at time zone 'UTC'))
        end as windows,
        case
            when p.entries <= %(most)s then p.last_id
            else (
                select max(e.invalidation_id) from invalidation_log as e
                where
                    e.relation = p.relation and e.day = %(day)s and e.instrument = p.instrument
                    and e.invalidation_id <= coalesce(p.shown_through, 9223372036854775807)
            )
        end as last_id
    from pending as p
)

select
    s.instrument,
    range_agg(s.windows) as windows,
    array_agg(s.relation) as relations,
    array_agg(s.last_id) as last_ids
from settled as s
group by s.instrument
order by s.instrument;
