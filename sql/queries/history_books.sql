-- What stands against a day's rows going straight into the archive: what is said of the day in the books of some instruments.
select
    coalesce((
        select array_agg(s.instrument order by s.instrument) from bar_sources as s
        where s.instrument = any(%(instruments)s) and s.stream = 'agg_trades'
    ), '{}') as of_agg_trades,
    (
        select coalesce(sum(c.row_count), 0)::bigint from coverage as c
        where c.stream = %(stream)s and c.day = %(day)s and c.is_dropped
    ) as dropped_rows;
