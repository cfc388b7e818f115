-- What is held of each instrument, stream and day that the window touches. Ranges become JSON lists of [from, until).
select
    instrument,
    stream,
    day,
    space,
    row_count,
    first_time,
    last_time,
    first_sequence,
    last_sequence,
    is_declared,
    replace((
        select
            coalesce(json_agg(json_build_array(
                to_char(lower(r.span) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                to_char(upper(r.span) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            ) order by r.span), '[]')::text
        from unnest(covered) as r (span)
    ), '.000000Z', 'Z') as covered,
    (
        select coalesce(json_agg(json_build_array(lower(r.ids), upper(r.ids)) order by r.ids), '[]')::text
        from unnest(missing_ids) as r (ids)
    ) as missing_ids,
    replace((
        select
            coalesce(json_agg(json_build_array(
                to_char(lower(r.span) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                to_char(upper(r.span) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            ) order by r.span), '[]')::text
        from unnest(accepted) as r (span)
    ), '.000000Z', 'Z') as accepted,
    is_dropped,
    updated_at
from coverage
where
    (%(instrument)s::text is null or instrument = %(instrument)s)
    and (%(since)s::timestamptz is null or (day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or day::timestamp at time zone 'UTC' < %(until)s)
order by instrument, stream, day;
