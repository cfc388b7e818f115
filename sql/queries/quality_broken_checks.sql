-- The checks that broke down when they were last asked.
select f.relation from findings as f where f.state = 'open' and f.rule = 'broken_check' and f.day is null;
