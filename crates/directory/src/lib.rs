//! Address to store to node: records, rules, resolution with explanation
