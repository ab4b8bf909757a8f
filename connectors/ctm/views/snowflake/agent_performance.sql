-- needs: accounts, calls
-- What each agent did on each of the account's own days.
WITH accounts_zoned AS (
    SELECT id, CASE WHEN time_zone LIKE '%/%' THEN time_zone END AS zone FROM accounts WHERE _deleted_at IS NULL
)
SELECT
    CONVERT_TIMEZONE(COALESCE(a.zone, '${timezone}'), c.called_at)::DATE AS day,
    c.account_id,
    c.agent_id,
    MAX_BY(c.agent_name, c.called_at) AS agent_name,
    COUNT(*) AS calls,
    COUNT_IF(c.dial_status IN ('answered', 'completed')) AS answered,
    CAST(SUM(c.talk_time) / 60 AS NUMBER(18, 1)) AS talk_minutes,
    CAST(AVG(CASE WHEN c.talk_time > 0 THEN c.talk_time END) AS NUMBER(18, 1)) AS talk_seconds_average,
    CAST(AVG(c.ring_time) AS NUMBER(18, 1)) AS ring_seconds_average,
    COUNT_IF(c.sale_conversion) AS conversions,
    SUM(c.sale_value) AS sale_value
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL AND c.agent_id IS NOT NULL AND c.direction IN ('inbound', 'outbound')
GROUP BY 1, 2, 3
