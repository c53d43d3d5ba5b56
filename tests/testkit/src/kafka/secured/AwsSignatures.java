import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Stands where Amazon MSK asks AWS whether a token is good: signs what the token says by AWS' published rules (signature
 * version 4, in the query string) with the secret that belongs to its key, and compares.
 *
 * <p>The key AKIAMETER never expires; ASIA and a number does, at that many milliseconds since 1970, and comes with a session
 * token. The secret of a key is "secret of " and the key.
 */
public class AwsSignatures implements AuthenticateCallbackHandler {
    private static final String REGION = "eu-west-1";
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final Set<String> UNSIGNED = Set.of("X-Amz-Signature", "User-Agent");

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {}

    @Override
    public void close() {}

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (callback instanceof OAuthBearerValidatorCallback asked) {
                try {
                    asked.token(check(asked.tokenValue()));
                } catch (GeneralSecurityException | RuntimeException refusal) {
                    System.err.println("token refused: " + refusal.getMessage());
                    asked.error("access_denied", null, null);
                }
            } else if (callback instanceof OAuthBearerExtensionsValidatorCallback extensions) {
                extensions.inputExtensions().map().keySet().forEach(extensions::valid);
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    private static OAuthBearerToken check(String token) throws GeneralSecurityException {
        require(!token.contains("="), "the token is padded");
        URI url = URI.create(new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8));
        String host = "kafka." + REGION + ".amazonaws.com";
        require("https".equals(url.getScheme()) && host.equals(url.getHost()) && "/".equals(url.getPath()), "not for " + host);
        Map<String, String> query = new TreeMap<>();
        for (String pair : url.getRawQuery().split("&")) {
            String[] parts = pair.split("=", 2);
            query.put(decode(parts[0]), decode(parts[1]));
        }
        require("kafka-cluster:Connect".equals(query.get("Action")), "not to connect");
        require("AWS4-HMAC-SHA256".equals(query.get("X-Amz-Algorithm")), "of another algorithm");
        require("host".equals(query.get("X-Amz-SignedHeaders")), "other headers are signed");
        require(query.containsKey("User-Agent"), "no user agent");

        String[] credential = query.get("X-Amz-Credential").split("/", 2);
        String key = credential[0];
        String date = query.get("X-Amz-Date");
        String day = date.substring(0, 8);
        String scope = String.join("/", day, REGION, "kafka-cluster", "aws4_request");
        require(scope.equals(credential[1]), "of another region or service: " + credential[1]);

        long now = System.currentTimeMillis();
        long signed = Instant.from(TIME.parse(date)).toEpochMilli();
        long seconds = Long.parseLong(query.get("X-Amz-Expires"));
        require(seconds <= 900 && signed <= now + 60_000, "good for too long");
        long end = signed + 1000 * seconds;
        if (!key.equals("AKIAMETER")) {
            require(key.startsWith("ASIA"), "of an unknown key");
            end = Math.min(end, Long.parseLong(key.substring(4)));
            require(("session of " + key).equals(query.get("X-Amz-Security-Token")), "of another session");
        }
        require(now < end, "expired");

        String canonicalQuery = query.entrySet().stream()
                .filter(parameter -> !UNSIGNED.contains(parameter.getKey()))
                .map(parameter -> encode(parameter.getKey()) + "=" + encode(parameter.getValue()))
                .collect(Collectors.joining("&"));
        String request = String.join("\n", "GET", "/", canonicalQuery, "host:" + host, "", "host", hash(""));
        String toSign = String.join("\n", "AWS4-HMAC-SHA256", date, scope, hash(request));
        byte[] signing = ("AWS4" + "secret of " + key).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) {
            signing = hmac(signing, part);
        }
        String signature = HexFormat.of().formatHex(hmac(signing, toSign));
        require(signature.equals(query.get("X-Amz-Signature")), "signed by another secret");
        return new Accepted(token, end, signed);
    }

    private static void require(boolean holds, String otherwise) throws GeneralSecurityException {
        if (!holds) {
            throw new GeneralSecurityException(otherwise);
        }
    }

    private static String decode(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }

    /** Every byte but letters, digits, and - _ . ~ in hexadecimal. */
    private static String encode(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte one : text.getBytes(StandardCharsets.UTF_8)) {
            char letter = (char) (one & 0xff);
            boolean isPlain = letter < 128 && Character.isLetterOrDigit(letter) || "-_.~".indexOf(letter) >= 0;
            encoded.append(isPlain ? String.valueOf(letter) : String.format("%%%02X", one));
        }
        return encoded.toString();
    }

    private static String hash(String text) throws GeneralSecurityException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private record Accepted(String value, long lifetimeMs, long start) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public String principalName() {
            return "aws";
        }

        @Override
        public Long startTimeMs() {
            return start;
        }
    }
}
