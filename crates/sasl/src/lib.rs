//! SASL exchanges for all protocols, and password schemes
