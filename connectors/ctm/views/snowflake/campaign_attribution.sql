-- needs: accounts, calls
-- What each source, medium and campaign brought on each of the account's own days.
WITH accounts_zoned AS (
    SELECT id, CASE WHEN time_zone LIKE '%/%' THEN time_zone END AS zone FROM accounts WHERE _deleted_at IS NULL
)
SELECT
    CONVERT_TIMEZONE(COALESCE(a.zone, '${timezone}'), c.called_at)::DATE AS day,
    c.account_id,
    c.source,
    c.medium,
    c.campaign,
    COUNT(*) AS calls,
    COUNT_IF(c.is_new_caller) AS new_callers,
    COUNT_IF(c.dial_status IN ('answered', 'completed')) AS answered,
    COUNT_IF(c.sale_conversion) AS conversions,
    SUM(c.sale_value) AS sale_value
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL AND c.direction = 'inbound'
GROUP BY 1, 2, 3, 4, 5
