-- The instrument with the highest usual rate of trades.
select b.instrument
from baselines as b
inner join baseline_versions as v on b.version = v.version
where v.is_current and b.metric = 'trade_rate'
group by b.instrument
order by sum(b.median) desc, b.instrument
limit 1;
