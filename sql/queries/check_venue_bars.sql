-- The rules of a day of the venues' bars.
with of_day as (
    select v.* from venue_bars as v where v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
)

select rule, is_blocking, broken::bigint, looked_at::bigint, examples
from (
    select
        'high and low bound open and close' as rule,
        true as is_blocking,
        count(*) filter (where v.low > least(v.open, v.close) or v.high < greatest(v.open, v.close)) as broken,
        count(*) as looked_at,
        '{}'::text[] as examples
    from of_day as v
    union all
    select 'price positive, volume not negative', true, count(*) filter (where v.low <= 0 or v.volume < 0), count(*), '{}' from of_day as v
    union all
    select
        'taker volume within volume',
        true,
        count(*) filter (where v.taker_buy_volume > v.volume or v.taker_buy_quote_volume > v.quote_volume),
        count(*),
        '{}'
    from of_day as v
    union all
    select
        'no row waits in quarantine',
        false,
        count(*),
        (select count(*) from of_day),
        coalesce((array_agg(distinct format('%%s: %%s', f.name, q.reason)))[1:5], '{}')
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where q.day = %(day)s and q.state = 'quarantined' and f.stream = 'venue_bars'
    union all
    select 'bars are closed', false, count(*) filter (where not v.is_closed), count(*), '{}' from of_day as v
) as rules;
