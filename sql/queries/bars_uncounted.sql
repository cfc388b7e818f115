-- By venue, the conditions with which a trade does not count in bars.
select
    c.venue,
    array_agg(c.condition) as conditions
from trade_conditions as c
where not c.counts
group by c.venue;
