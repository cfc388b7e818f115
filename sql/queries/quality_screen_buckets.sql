-- Instruments of which the ten seconds that were gathered may break a rule of a detector. What is improbable only the numbers of the whole
-- day say: this asks for no more than could be a stretch, and is never stricter than the detectors.
select b.instrument
from quality_tick_buckets as b
where
    b.crossed > 0 or b.locked > 0 or b.late > 0
    or (
        b.relation <> 'raw_quotes' and b.mean_before > 0 and b.mean_after > 0 and b.low > 0
        and greatest(b.high / greatest(b.mean_before, b.mean_after), least(b.mean_before, b.mean_after) / b.low) > 1.01
    )
union
-- Lags that are not usual, whatever is: all of them, or those of some ten seconds against others.
select l.instrument
from (
    select
        b.relation,
        b.instrument,
        max(b.shortest_lag) as greatest_shortest,
        min(b.shortest_lag) as least_shortest,
        min(b.longest_lag) as least_longest
    from quality_tick_buckets as b
    where b.received > 0
    group by b.relation, b.instrument
) as l
inner join quality_thresholds as h on l.instrument = h.instrument
where
    l.greatest_shortest > h.clock_skew_seconds or l.least_longest < -h.clock_skew_seconds
    or l.greatest_shortest - l.least_shortest > h.clock_skew_seconds
union
-- Streams that say the same again and again, as far as can be seen.
select s.instrument
from (
    select
        n.instrument,
        extract(epoch from max(n.last_time) - min(n.first_time)) as seconds,
        sum(n.row_count) as row_count
    from (
        select
            b.*,
            count(*) filter (where not b.continues) over (partition by b.relation, b.instrument order by b.bucket) as stretch
        from quality_tick_buckets as b
        where b.is_constant and (b.continues or b.is_continued or b.row_count >= 50)
    ) as n
    group by n.relation, n.instrument, n.stretch
) as s
inner join quality_thresholds as h on s.instrument = h.instrument
where (s.seconds >= h.frozen_seconds / 2 and s.row_count >= 5) or (s.seconds >= h.frozen_seconds / 20 and s.row_count >= 50)
order by instrument;
