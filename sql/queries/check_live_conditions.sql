-- What counts in live bars, held against the venues' rules: a continuous aggregate cannot look into the table of them.
select
    'live bars count what the bars count' as rule,
    false as is_blocking,
    count(*) filter (where counts_in_live_bars(c.venue || ':', array[c.condition]) <> c.counts) as broken,
    count(*) as looked_at,
    coalesce(
        (array_agg(c.venue || ' ' || c.condition) filter (where counts_in_live_bars(c.venue || ':', array[c.condition]) <> c.counts))[1:5],
        '{}'
    ) as examples
from trade_conditions as c;
