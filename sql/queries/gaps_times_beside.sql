-- The times of the rows nearest to a silence, before it and after it, in microseconds since 1970 UTC.
select
    (
        select array_agg((extract(epoch from b.event_time) * 1000000)::bigint order by b.event_time)
        from (
            select t.event_time from {table} as t
            where
                t.instrument = %(instrument)s and t.event_time <= %(silent_from)s
                and t.event_time > %(silent_from)s::timestamptz - interval '6 hours'
            order by t.event_time desc
            limit %(nearest)s
        ) as b
    ) as times_before,
    (
        select array_agg((extract(epoch from a.event_time) * 1000000)::bigint order by a.event_time)
        from (
            select t.event_time from {table} as t
            where
                t.instrument = %(instrument)s and t.event_time >= %(silent_to)s
                and t.event_time < %(silent_to)s::timestamptz + interval '6 hours'
            order by t.event_time
            limit %(nearest)s
        ) as a
    ) as times_after;
