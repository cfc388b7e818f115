-- Prices that stand alone: a ten seconds' highest or lowest trade beyond the mean prices of the ten seconds on both sides of it, by a
-- hundredth or more. How far such trades usually are from there that day is the scale: the median, at least a basis point.
with measured as (
    select
        b.relation,
        b.instrument,
        b.first_time,
        b.last_time,
        b.low,
        b.high,
        least(b.mean_before, b.mean_after) as least_beside,
        greatest(b.mean_before, b.mean_after) as greatest_beside,
        ln(
            greatest(b.high / greatest(b.mean_before, b.mean_after), least(b.mean_before, b.mean_after) / b.low, 1)
        ) as apart
    from quality_tick_buckets as b
    where b.relation <> 'raw_quotes' and b.mean_before > 0 and b.mean_after > 0 and b.low > 0
),

alone as (
    select * from measured as m where m.apart > 0.01
),

usual as (
    select
        m.relation,
        m.instrument,
        greatest(1.4826 * percentile_cont(0.5) within group (order by m.apart), 0.0001) as deviation
    from measured as m
    where exists (select 1 from alone as a where a.relation = m.relation and a.instrument = m.instrument)
    group by m.relation, m.instrument
)

select
    a.relation,
    a.instrument,
    a.first_time as from_time,
    a.last_time,
    case when a.high / a.greatest_beside >= a.least_beside / a.low then a.high else a.low end as price,
    (a.least_beside + a.greatest_beside) / 2 as expected,
    a.apart,
    a.apart / u.deviation as score,
    -- Single trades have longer tails than the returns of minutes, for which the threshold is meant.
    5 * h.return_z as threshold
from alone as a
inner join usual as u on a.relation = u.relation and a.instrument = u.instrument
inner join quality_thresholds as h on a.instrument = h.instrument
where a.apart / u.deviation > 5 * h.return_z
order by a.relation, a.instrument, a.first_time;
