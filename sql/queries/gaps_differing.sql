-- Where the ledger of gaps differs from coverage: (stream, instrument, days). Of ids it is the sets that are compared, per instrument, and
-- the days that lack some in either; of intervals of a second or more the days of which nobody saw a part, or that the ledger says so of,
-- and not both.
with held as (
    select
        c.instrument,
        c.stream,
        c.day,
        c.space,
        c.missing_ids,
        c.covered,
        c.last_sequence,
        c.first_time,
        c.last_time,
        c.is_declared,
        -- As longest_edge of calc/gaps.
        greatest(interval '5 minutes', 20 * (c.last_time - c.first_time) / c.row_count) as longest_edge,
        lead(c.first_sequence) over w as next_first,
        lead(c.day) over w as next_day,
        lead(c.space) over w as next_space,
        lag(c.day) over w as last_day,
        lag(c.space) over w as last_space,
        tstzrange(c.day::timestamp at time zone 'UTC', (c.day + 1)::timestamp at time zone 'UTC') as span
    from coverage as c
    where c.row_count > 0
    window w as (partition by c.instrument, c.stream order by c.day)
),

lacking as (
    select
        h.instrument,
        h.stream,
        h.day,
        h.missing_ids + case
            when h.next_day = h.day + 1 and h.next_space = h.space and h.next_first > h.last_sequence + 1
                then int8multirange(int8range(h.last_sequence + 1, h.next_first))
            else int8multirange()
        end as ids
    from held as h
    where h.space in ('trade_id', 'aggregate_id')
),

listed as (
    select
        g.instrument,
        g.stream,
        (g.from_time at time zone 'UTC')::date as day,
        range_agg(int8range(g.first_missing, g.last_missing, '[]')) as ids
    from gaps as g
    where g.kind = 'ids' and g.state <> 'healed'
    group by g.instrument, g.stream, (g.from_time at time zone 'UTC')::date
),

ids_differ as (
    select
        coalesce(c.instrument, g.instrument) as instrument,
        coalesce(c.stream, g.stream) as stream,
        coalesce(c.ids, int8multirange()) as missing,
        coalesce(g.ids, int8multirange()) as told
    from (
        select
            l.instrument,
            l.stream,
            range_agg(l.ids) as ids
        from lacking as l
        where not isempty(l.ids)
        group by l.instrument, l.stream
    ) as c
    full join (
        select
            l.instrument,
            l.stream,
            range_agg(l.ids) as ids
        from listed as l
        group by l.instrument, l.stream
    ) as g on c.instrument = g.instrument and c.stream = g.stream
    where c.ids is distinct from g.ids
),

unseen as (
    select
        h.instrument,
        h.stream,
        h.day,
        case
            when h.space in ('trade_id', 'aggregate_id')
                then
                    case
                        when h.is_declared or i.instrument is not null
                            then
                                tstzmultirange(
                                    case
                                        when h.last_day = h.day - 1 and h.last_space = h.space then 'empty'
                                        when not h.is_declared and h.first_time - lower(h.span) < h.longest_edge - interval '1 microsecond'
                                            then 'empty'
                                        else tstzrange(lower(h.span), h.first_time + interval '1 microsecond')
                                    end,
                                    case
                                        when h.next_day = h.day + 1 and h.next_space = h.space then 'empty'
                                        when not h.is_declared and upper(h.span) - h.last_time < h.longest_edge then 'empty'
                                        else tstzrange(h.last_time, upper(h.span))
                                    end
                                ) - h.covered
                        else tstzmultirange()
                    end
            when h.is_declared then tstzmultirange(h.span) - h.covered
            when i.instrument is not null
                then
                    tstzmultirange(
                        tstzrange(
                            case
                                when lower(h.covered) - lower(h.span) < h.longest_edge then lower(h.covered) else lower(h.span)
                            end,
                            case
                                when upper(h.span) - upper(h.covered) < h.longest_edge then upper(h.covered) else upper(h.span)
                            end
                        )
                    ) - h.covered
            else tstzmultirange(range_merge(h.covered)) - h.covered
        end as spans
    from held as h
    left join instruments as i
        on
            h.instrument = i.instrument and i.valid_to is null and h.stream = i.bars_stream and h.day >= i.listed_on
            and (i.delisted_on is null or h.day < i.delisted_on) and h.day < %(today)s
),

unseen_listed as (
    select
        g.instrument,
        g.stream,
        (g.from_time at time zone 'UTC')::date as day,
        range_agg(tstzrange(g.from_time, g.to_time)) as spans
    from gaps as g
    where
        g.kind = 'interval' and g.evidence ->> 'by' = 'coverage' and g.state <> 'healed'
        and g.to_time - g.from_time >= interval '1 second'
    group by g.instrument, g.stream, (g.from_time at time zone 'UTC')::date
),

found as (
    select
        d.stream,
        d.instrument,
        l.day
    from ids_differ as d
    inner join lacking as l
        on d.instrument = l.instrument and d.stream = l.stream and not isempty(l.ids - d.told)
    union
    select
        d.stream,
        d.instrument,
        g.day
    from ids_differ as d
    inner join listed as g
        on d.instrument = g.instrument and d.stream = g.stream and not isempty(g.ids - d.missing)
    union
    select
        coalesce(u.stream, l.stream) as stream,
        coalesce(u.instrument, l.instrument) as instrument,
        coalesce(u.day, l.day) as day
    from (
        select
            s.instrument,
            s.stream,
            s.day,
            range_agg(p.span) as spans
        from unseen as s
        cross join unnest(s.spans) as p (span)
        where upper(p.span) - lower(p.span) >= interval '1 second'
        group by s.instrument, s.stream, s.day
    ) as u
    full join unseen_listed as l on u.instrument = l.instrument and u.stream = l.stream and u.day = l.day
    where u.spans is distinct from l.spans
)

select
    f.stream,
    f.instrument,
    array_agg(f.day order by f.day) as days
from found as f
group by f.stream, f.instrument
order by f.stream, f.instrument;
